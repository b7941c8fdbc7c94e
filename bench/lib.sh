# Shared by bench/measure/*: medians, ratios, and a line a row.
median() { sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / b }'; }
row() { printf '| %s ' "$@"; printf '|\n'; }
us_now() { echo $(($(date +%s%N) / 1000)); }

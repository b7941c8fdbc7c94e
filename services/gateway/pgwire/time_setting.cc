#include "services/gateway/pgwire/time_setting.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

namespace leasehold::gateway::pgwire {
namespace {

constexpr std::string_view kBlank = " \t\n\r\f\v";

constexpr std::pair<std::string_view, double> kMillisecondsOf[] = {
    {"", 1}, {"us", 0.001}, {"ms", 1}, {"s", 1'000}, {"min", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

void SkipBlank(std::string_view& text) {
  const size_t begin = text.find_first_not_of(kBlank);
  text.remove_prefix(begin == std::string_view::npos ? text.size() : begin);
}

}  // namespace

std::optional<absl::Duration> ParseTimeSetting(std::string_view text) {
  SkipBlank(text);
  if (text.starts_with('0') && text.size() > 1 && IsDigit(text[1])) return std::nullopt;
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || !std::isfinite(number)) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  SkipBlank(text);
  const std::string_view unit = text.substr(0, text.find_first_of(kBlank));
  if (text.find_first_not_of(kBlank, unit.size()) != std::string_view::npos) return std::nullopt;
  for (const auto& [name, milliseconds] : kMillisecondsOf) {
    if (unit != name) continue;
    const double rounded = std::nearbyint(number * milliseconds);
    if (rounded < 0 || rounded > std::numeric_limits<int>::max()) return std::nullopt;
    return absl::Milliseconds(static_cast<int>(rounded));
  }
  return std::nullopt;
}

}  // namespace leasehold::gateway::pgwire

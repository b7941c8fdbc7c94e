#include "services/cli/table.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace leasehold::cli {

std::string Table::Render(const Terminal& terminal) const {
  std::vector<std::vector<Cell>> lines;
  if (!headers_.empty()) {
    std::vector<Cell> head;
    for (const auto& header : headers_) head.emplace_back(header, Colour::kDim);
    lines.push_back(std::move(head));
  }
  lines.insert(lines.end(), rows_.begin(), rows_.end());

  std::vector<size_t> widths;
  for (auto& line : lines) {
    for (size_t i = 0; i < line.size(); ++i) {
      if (line[i].text.empty()) line[i].text = "-";
      if (widths.size() <= i) widths.push_back(0);
      widths[i] = std::max(widths[i], DisplayWidth(line[i].text));
    }
  }

  std::string out;
  for (const auto& line : lines) {
    for (size_t i = 0; i < line.size(); ++i) {
      absl::StrAppend(&out, terminal.Paint(line[i].colour, line[i].text));
      if (i + 1 < line.size()) out.append(widths[i] - DisplayWidth(line[i].text) + 2, ' ');
    }
    out += '\n';
  }
  return out;
}

}  // namespace leasehold::cli

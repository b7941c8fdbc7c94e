// Aligned columns.
#pragma once

#include <string>
#include <vector>

#include "services/cli/terminal.h"

namespace leasehold::cli {

struct Cell {
  Cell(std::string content) : text(std::move(content)) {}  // NOLINT(google-explicit-constructor): rows are braced lists
  Cell(const char* content) : text(content) {}             // NOLINT(google-explicit-constructor)
  Cell(std::string content, Colour paint) : text(std::move(content)), colour(paint) {}

  std::string text;
  Colour colour = Colour::kPlain;
};

class Table {
 public:
  // Without headers no head line is written.
  explicit Table(std::vector<std::string> headers = {}) : headers_(std::move(headers)) {}
  void AddRow(std::vector<Cell> cells) { rows_.push_back(std::move(cells)); }
  bool empty() const { return rows_.empty(); }
  // Two spaces between columns, none at the end of a line; an empty cell shows as "-".
  std::string Render(const Terminal& terminal) const;

 private:
  std::vector<std::string> headers_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace leasehold::cli

// The screen of `leasehold top`, as a function of what is to be seen.
#pragma once

#include <ftxui/dom/elements.hpp>
#include <string>
#include <vector>

#include "services/cli/top_figures.h"

namespace leasehold::cli {

struct TopView {
  const TopFigures& figures;
  TopSort sort = TopSort::kWaiting;
  std::string filter = {};
  bool editing = false;  // the filter
  bool paused = false;
  size_t first = 0;          // row at the top
  std::string trouble = {};  // why the figures are old
  int width = 80;
  int height = 24;   // 0: as many lines as there are rows
  bool keys = true;  // the last line tells of them
};

// How many rows fit, at least one.
size_t TopRowsThatFit(const TopView& view);

// Of `width` columns, whatever that is: what does not fit is cut off.
ftxui::Element TopScreen(const TopView& view);

// The same as lines of plain text, without blanks at their ends; with `colours` as a terminal shows it.
std::string TopFrame(const TopView& view, bool colours);

}  // namespace leasehold::cli

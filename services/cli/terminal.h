// What stdout and stderr are, and so how to write to them.
#pragma once

#include <string>
#include <string_view>

#include "common/config/config.h"

namespace leasehold::cli {

enum class Colour { kPlain, kBold, kDim, kGreen, kYellow, kRed };

struct Terminal {
  // Whether each is a terminal; colours only there, and not when NO_COLOR is set or TERM is "dumb".
  bool out = false;
  bool err = false;
  bool out_colours = false;
  bool err_colours = false;
  int columns = 80;  // of stderr

  static Terminal Detect(const Environment& env);

  // For stdout; unchanged without colours.
  std::string Paint(Colour colour, std::string_view text) const;
  std::string PaintError(Colour colour, std::string_view text) const;  // for stderr
};

// How many columns UTF-8 text takes, counting one for each code point.
size_t DisplayWidth(std::string_view text);

}  // namespace leasehold::cli

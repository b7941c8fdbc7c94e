#include "services/cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <format>

namespace leasehold::cli {
namespace {

std::string Escape(Colour colour) {
  switch (colour) {
    case Colour::kPlain:
      return "";
    case Colour::kBold:
      return "\033[1m";
    case Colour::kDim:
      return "\033[2m";
    case Colour::kGreen:
      return "\033[32m";
    case Colour::kYellow:
      return "\033[33m";
    case Colour::kRed:
      return "\033[31m";
  }
  return "";
}

std::string Painted(bool colours, Colour colour, std::string_view text) {
  if (!colours || colour == Colour::kPlain) return std::string(text);
  return std::format("{}{}\033[0m", Escape(colour), text);
}

}  // namespace

Terminal Terminal::Detect(const Environment& env) {
  Terminal terminal;
  terminal.out = isatty(STDOUT_FILENO) == 1;
  terminal.err = isatty(STDERR_FILENO) == 1;
  const bool colours = !env("NO_COLOR").has_value() && env("TERM").value_or("") != "dumb";
  terminal.out_colours = terminal.out && colours;
  terminal.err_colours = terminal.err && colours;
  winsize size{};
  if (terminal.err && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) terminal.columns = size.ws_col;
  return terminal;
}

std::string Terminal::Paint(Colour colour, std::string_view text) const { return Painted(out_colours, colour, text); }

std::string Terminal::PaintError(Colour colour, std::string_view text) const {
  return Painted(err_colours, colour, text);
}

size_t DisplayWidth(std::string_view text) {
  return std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

}  // namespace leasehold::cli

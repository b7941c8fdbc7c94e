#include <deque>
#include <fstream>

#include "common/localserver/localserver.h"
#include "common/status/error.h"

namespace leasehold::localserver {

std::string LastLines(const std::string& log_path, int lines) {
  std::ifstream log(log_path);
  std::deque<std::string> tail;
  for (std::string line; std::getline(log, line);) {
    tail.push_back(std::move(line));
    if (tail.size() > static_cast<size_t>(lines)) tail.pop_front();
  }
  std::string text;
  for (const std::string& line : tail) text += "\n  | " + Printable(line, 400);
  return text;
}

}  // namespace leasehold::localserver

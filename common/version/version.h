// Which Leasehold this is.
#pragma once

#include <string>
#include <string_view>

namespace leasehold {

std::string_view Version();  // "0.1.0"
std::string_view Commit();   // "530823d1e0"; empty if it was not built in a git clone

// For --version: "leasehold 0.1.0 (530823d1e0)".
std::string VersionLine(std::string_view program);

}  // namespace leasehold

// Man pages of the commands, for groff and mandoc.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace leasehold::cli {

// "leasehold-tenant" for a command of the root; "leasehold" for the root. The section is 1.
std::string ManPageName(const CLI::App& command);

// Of the root, or of one of its commands with all that is below. `date`: of the text.
std::string ManPage(const CLI::App& command, absl::Time date);

}  // namespace leasehold::cli

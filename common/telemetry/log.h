// One event a line on stderr: JSON, or text for people. Any thread; a line is written whole.
//
//   Log(Level::kInfo, "tenant ready", {{"tenant", id.str()}, {"ms", absl::StrCat(ms)}});
//
// Messages are constant text; what varies goes into fields. Never a secret: lease user names are not secrets, passwords
// and DSNs with passwords are.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace leasehold {

enum class Level { kDebug, kInfo, kWarning, kError };
enum class LogFormat { kJson, kText };

using LogField = std::pair<std::string_view, std::string_view>;

// Start-up only: before other threads log. `component`: "gateway", "provisioner/identity".
void ConfigureLog(std::string component, Level level, LogFormat format);
void SetLogLevel(Level level);  // any time
bool LogEnabled(Level level);

void Log(Level level, std::string_view message, std::initializer_list<LogField> fields = {});

}  // namespace leasehold

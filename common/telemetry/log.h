// One event a line on stderr: JSON, or text for people. Any thread; a line is written whole.
//
//   Log(Level::kInfo, "tenant ready", {{"tenant", id.str()}, {"ms", std::to_string(ms)}});
//
// A line bears the id of the trace that the thread is at work for, if there is one (trace.h).
//
// Messages are constant text; what varies goes into fields. Never a secret: lease user names are not secrets, passwords
// and DSNs with passwords are.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace leasehold {

enum class Level { kDebug, kInfo, kWarning, kError };
enum class LogFormat { kJson, kText };

using LogField = std::pair<std::string_view, std::string_view>;

// As the configuration spells them: debug, info, warning, error; json, text. nullopt for anything else.
std::optional<Level> ParseLevel(std::string_view text);
std::string_view NameOf(Level level);
std::optional<LogFormat> ParseLogFormat(std::string_view text);

// Text when stderr is a terminal, else JSON.
LogFormat DefaultLogFormat();

// Start-up only: before other threads log. `component`: "gateway", "provisioner/identity". Until then: JSON, no
// component, info and above. Text is coloured on a terminal unless NO_COLOR is set.
void ConfigureLog(std::string component, Level level, LogFormat format);
void SetLogLevel(Level level);  // any time
// The same on somebody's request: the log says so, whatever the level.
void ChangeLogLevel(Level level);
Level CurrentLogLevel();
bool LogEnabled(Level level);

// Below the level: nothing. Characters that could break the line or the terminal are escaped.
void Log(Level level, std::string_view message, std::initializer_list<LogField> fields = {});

}  // namespace leasehold

// JSON by hand, for lines that are written often.
#pragma once

#include <string>
#include <string_view>

namespace leasehold {

// `text` in quotes. Always valid JSON: bytes that are not UTF-8 become U+FFFD; controls and what turns the direction of
// text are escaped.
void AppendJson(std::string& out, std::string_view text);

// The same without the quotes.
void AppendJsonText(std::string& out, std::string_view text);

// "name":"value", with a comma in front unless `out` ends with '{'.
void AppendJsonMember(std::string& out, std::string_view name, std::string_view value);

}  // namespace leasehold

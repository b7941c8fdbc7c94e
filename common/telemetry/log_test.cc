#include "common/telemetry/log.h"

#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <ranges>
#include <string>
#include <thread>
#include <vector>

#include "common/status/error.h"
#include "common/telemetry/level.h"
#include "common/telemetry/log_line.h"
#include "common/telemetry/trace.h"

namespace leasehold {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

google::protobuf::Struct ParseJson(const std::string& text) {
  google::protobuf::Struct json;
  const auto status = google::protobuf::util::JsonStringToMessage(text, &json);
  EXPECT_TRUE(status.ok()) << status.ToString() << "\n" << text;
  return json;
}

std::string Text(const google::protobuf::Struct& json, const std::string& name) {
  const auto field = json.fields().find(name);
  return field == json.fields().end() ? "absent" : field->second.string_value();
}

LogEvent Event(std::string_view message, std::span<const LogField> fields = {}) {
  return {.time = absl::FromUnixMillis(1'767'225'600'123),
          .level = Level::kInfo,
          .component = "gateway",
          .message = message,
          .trace_id = "",
          .fields = fields};
}

TEST(JsonLine, HasTimeLevelComponentMessageAndFields) {
  const std::array<LogField, 2> fields = {{{"tenant", "acme"}, {"ms", "12"}}};
  EXPECT_EQ(JsonLine(Event("tenant ready", fields)),
            R"({"time":"2026-01-01T00:00:00.123Z","level":"info","component":"gateway","message":"tenant ready",)"
            R"("fields":{"tenant":"acme","ms":"12"}})"
            "\n");
  EXPECT_EQ(JsonLine(Event("up")),
            R"({"time":"2026-01-01T00:00:00.123Z","level":"info","component":"gateway","message":"up"})"
            "\n");
}

TEST(JsonLine, BearsTheTraceId) {
  const std::array<LogField, 1> fields = {{{"tenant", "acme"}}};
  LogEvent event = Event("tenant ready", fields);
  event.trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
  EXPECT_THAT(JsonLine(event), HasSubstr(R"("message":"tenant ready","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736",)"
                                         R"("fields":{"tenant":"acme"}})"));
  EXPECT_THAT(TextLine(event, false), EndsWith("  tenant=acme trace_id=4bf92f3577b34da6a3ce929d0e0e4736\n"));
}

TEST(JsonLine, EscapesWhatAStrangerSent) {
  const std::string hostile = std::string("\"\\\n\r\t\0\x1b[31m", 11) + "é\u2028\xff\xc3";
  const std::array<LogField, 1> fields = {{{"value", hostile}}};
  const std::string line = JsonLine(Event(hostile, fields));
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  EXPECT_THAT(line, Not(HasSubstr("\x1b")));
  const google::protobuf::Struct json = ParseJson(line);
  const std::string expected = std::string("\"\\\n\r\t\0\x1b[31m", 11) + "é\u2028\ufffd\ufffd";
  EXPECT_EQ(Text(json, "message"), expected);
  EXPECT_EQ(Text(json.fields().at("fields").struct_value(), "value"), expected);
}

TEST(TextLine, IsForPeople) {
  const std::array<LogField, 4> fields = {{{"tenant", "acme"}, {"name", "Acme Corp"}, {"note", ""}, {"quote", "a\"b"}}};
  EXPECT_EQ(TextLine(Event("tenant ready", fields), false),
            "2026-01-01 00:00:00.123Z  info     gateway  tenant ready  tenant=acme name=\"Acme Corp\" note=\"\" "
            "quote=\"a\\\"b\"\n");
  EXPECT_EQ(TextLine(Event("up"), false), "2026-01-01 00:00:00.123Z  info     gateway  up\n");
}

TEST(TextLine, KeepsAStrangersBytesOffTheTerminal) {
  const std::array<LogField, 1> fields = {{{"value", "a\x1b[2J\nb"}}};
  const std::string line = TextLine(Event("x", fields), false);
  EXPECT_THAT(line, HasSubstr("value=a\\x1b[2J\\x0ab"));
  EXPECT_EQ(line.find('\n'), line.size() - 1);
}

TEST(TextLine, IsColouredOnRequest) {
  EXPECT_THAT(TextLine(Event("up"), true), HasSubstr("\x1b[32minfo"));
  EXPECT_THAT(TextLine(Event("up"), false), Not(HasSubstr("\x1b")));
}

TEST(ParseLevel, KnowsTheConfigurationsWords) {
  EXPECT_EQ(ParseLevel("debug"), Level::kDebug);
  EXPECT_EQ(ParseLevel("warning"), Level::kWarning);
  EXPECT_EQ(ParseLevel("warn"), std::nullopt);
  EXPECT_EQ(ParseLogFormat("text"), LogFormat::kText);
  EXPECT_EQ(ParseLogFormat(""), std::nullopt);
}

TEST(Level, IsTheContractsAndNothingElse) {
  for (const char* name : {"debug", "info", "warning", "error"}) {
    const Level level = *ParseLevel(name);
    EXPECT_EQ(*LevelOf(ToProto(level)), level);
    EXPECT_EQ(NameOf(level), name);
  }
  for (const int bad : {0, 5, -1}) {
    const absl::Status refused = LevelOf(static_cast<v1::LogLevel>(bad)).status();
    EXPECT_EQ(ReasonOf(refused), v1::REASON_INVALID_FIELD);
    EXPECT_THAT(std::string(refused.message()),
                HasSubstr("level is '" + std::to_string(bad) + "'; allowed: debug, info, warning, error"));
  }
}

// What the process writes to stderr in the meantime.
class StderrCapture {
 public:
  StderrCapture() : file_(memfd_create("stderr", 0)), saved_(dup(STDERR_FILENO)) {
    if (file_ < 0 || saved_ < 0 || dup2(file_, STDERR_FILENO) < 0) std::abort();
  }
  ~StderrCapture() { Restore(); }

  std::string Take() {
    Restore();
    std::string text(static_cast<size_t>(lseek(file_, 0, SEEK_END)), '\0');
    if (pread(file_, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) std::abort();
    close(file_);
    return text;
  }

 private:
  void Restore() {
    if (saved_ < 0) return;
    dup2(saved_, STDERR_FILENO);
    close(saved_);
    saved_ = -1;
  }

  int file_;
  int saved_;
};

TEST(Log, WritesWhatTheLevelLetsThrough) {
  StderrCapture capture;
  ConfigureLog("gateway", Level::kWarning, LogFormat::kJson);
  Log(Level::kInfo, "too quiet");
  Log(Level::kError, "instance lost", {{"instance", "identity"}});
  SetLogLevel(Level::kDebug);
  Log(Level::kDebug, "now heard");
  const std::string text = capture.Take();
  EXPECT_THAT(text, Not(HasSubstr("too quiet")));
  EXPECT_THAT(text,
              HasSubstr(R"("level":"error","component":"gateway","message":"instance lost","fields":{"instance":)"));
  EXPECT_THAT(text, HasSubstr("now heard"));
  EXPECT_TRUE(LogEnabled(Level::kDebug));
  SetLogLevel(Level::kError);
  EXPECT_FALSE(LogEnabled(Level::kWarning));
}

TEST(Log, LinesBearTheThreadsTrace) {
  StderrCapture capture;
  ConfigureLog("gateway", Level::kInfo, LogFormat::kJson);
  Log(Level::kInfo, "of nobody");
  {
    const TraceScope scope({.high = 0x4bf92f3577b34da6, .low = 0xa3ce929d0e0e4736, .span = 1});
    Log(Level::kInfo, "of a trace");
  }
  Log(Level::kInfo, "of nobody again");
  const std::string text = capture.Take();
  EXPECT_THAT(text, HasSubstr(R"("message":"of a trace","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"})"));
  EXPECT_THAT(text, HasSubstr(R"("message":"of nobody"})"));
  EXPECT_THAT(text, HasSubstr(R"("message":"of nobody again"})"));
}

TEST(Log, TextOffATerminalHasNoColours) {
  StderrCapture capture;
  EXPECT_EQ(DefaultLogFormat(), LogFormat::kJson);
  ConfigureLog("provisioner/identity", Level::kInfo, LogFormat::kText);
  Log(Level::kWarning, "slow");
  const std::string text = capture.Take();
  EXPECT_THAT(text, EndsWith("warning  provisioner/identity  slow\n"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
}

TEST(Log, LinesOfManyThreadsStayWhole) {
  constexpr int kThreads = 4;
  constexpr int kLines = 200;
  const std::string filler(3000, 'x');
  StderrCapture capture;
  ConfigureLog("test", Level::kInfo, LogFormat::kJson);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&filler] {
        for (int i = 0; i < kLines; ++i) Log(Level::kInfo, "line", {{"filler", filler}});
      });
    }
  }
  const std::string text = capture.Take();
  int lines = 0;
  for (const auto part : std::views::split(std::string_view(text), '\n')) {
    const std::string line(std::string_view{part});
    if (line.empty()) continue;
    ++lines;
    ASSERT_EQ(Text(ParseJson(line).fields().at("fields").struct_value(), "filler"), filler);
  }
  EXPECT_EQ(lines, kThreads * kLines);
}

}  // namespace
}  // namespace leasehold

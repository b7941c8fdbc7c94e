#include "common/otlp/otlp_headers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <format>
#include <fstream>

#include "common/localserver/localserver.h"
#include "common/status/error.h"

namespace leasehold {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;

std::vector<std::pair<std::string, std::string>> Shown(const absl::StatusOr<OtlpHeaders>& headers) {
  EXPECT_TRUE(headers.ok()) << headers.status();
  std::vector<std::pair<std::string, std::string>> shown;
  for (const auto& [name, value] : *headers) shown.emplace_back(name, value.reveal());
  return shown;
}

TEST(OtlpHeaders, AreLinesOfAFile) {
  EXPECT_THAT(Shown(ParseOtlpHeaderLines("")), IsEmpty());
  EXPECT_THAT(Shown(ParseOtlpHeaderLines("# a comment\n\nAuthorization: Basic dXNlcjpwYXNz==\r\nX-Scope-OrgID:  7 \n")),
              ElementsAre(Pair("Authorization", "Basic dXNlcjpwYXNz=="), Pair("X-Scope-OrgID", "7")));
}

TEST(OtlpHeaders, AreAListOfTheEnvironment) {
  EXPECT_THAT(Shown(ParseOtlpHeaderList("")), IsEmpty());
  EXPECT_THAT(Shown(ParseOtlpHeaderList("api-key=a=b, x-team = blue%2C%20green ,")),
              ElementsAre(Pair("api-key", "a=b"), Pair("x-team", "blue, green")));
}

TEST(OtlpHeaders, WhatIsWrongIsNamedAndNoValueIsShown) {
  const auto refused = [](const absl::StatusOr<OtlpHeaders>& headers) {
    EXPECT_FALSE(headers.ok());
    EXPECT_EQ(ReasonOf(headers.status()), v1::REASON_INVALID_FIELD);
    return std::string(headers.status().message());
  };
  for (const char* bad : {"X-Fine: 1\nhunter2", "X-Fine: 1\n: hunter2", "X-Fine: 1\nX y: hunter2",
                          "X-Fine: 1\nX-Key: hunter2\x01", "X-Fine: 1\nX-Key:", "X-Fine: 1\nx-fine: hunter2",
                          "X-Fine: 1\nContent-Type: hunter2", "X-Fine: 1\nX-Key: hunter2\xc3\xa9"}) {
    EXPECT_THAT(refused(ParseOtlpHeaderLines(bad)),
                AllOf(HasSubstr("LEASEHOLD_OTLP_HEADERS_FILE line 2"), HasSubstr("allowed"), Not(HasSubstr("hunter2"))))
        << bad;
  }
  for (const char* bad :
       {"a=1,hunter2", "a=1,=hunter2", "a=1,b=hunter2%0", "a=1,b=hunter2%0d%0a", "a=1,A=hunter2", "a=1,host=hunter2"}) {
    EXPECT_THAT(refused(ParseOtlpHeaderList(bad)), AllOf(HasSubstr("OTEL_EXPORTER_OTLP_HEADERS member 2"),
                                                         HasSubstr("allowed"), Not(HasSubstr("hunter2"))))
        << bad;
  }
  std::string many;
  for (int i = 0; i < 33; ++i) many += std::format("x-{}: 1\n", i);
  EXPECT_THAT(refused(ParseOtlpHeaderLines(many)), AllOf(HasSubstr("line 33"), HasSubstr("at most 32")));
}

TEST(OtlpHeaders, OfTheEnvironmentCountMoreThanTheFiles) {
  const localserver::TemporaryDirectory directory;
  const std::string path = directory.path() + "/headers";
  std::ofstream(path) << "X-Api-Key: of the file\nX-Team: blue\n";
  std::string file;
  const Environment environment = [&file](const char* name) -> std::optional<std::string> {
    if (std::string_view(name) == "OTEL_EXPORTER_OTLP_HEADERS") return "x-api-key=own";
    if (std::string_view(name) == "LEASEHOLD_OTLP_HEADERS_FILE") return file;
    return std::nullopt;
  };
  EXPECT_THAT(Shown(ReadOtlpHeaders(environment)), ElementsAre(Pair("x-api-key", "own")));
  file = path;
  EXPECT_THAT(Shown(ReadOtlpHeaders(environment)), ElementsAre(Pair("X-Team", "blue"), Pair("x-api-key", "own")));
  file = path + ".gone";
  EXPECT_THAT(std::string(ReadOtlpHeaders(environment).status().message()), HasSubstr(path + ".gone"));
}

}  // namespace
}  // namespace leasehold

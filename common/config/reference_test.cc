// docs/configuration.md says that it is complete; here it is held to that.
#include <gtest/gtest.h>

#include <format>
#include <fstream>
#include <vector>

#include "common/config/defaults.h"
#include "common/config/rules.h"
#include "common/config/scalar.h"

namespace leasehold::config {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

std::vector<std::string> PageLines() {
  std::ifstream page(LEASEHOLD_SOURCE_DIR "/docs/configuration.md");
  std::vector<std::string> lines;
  for (std::string line; std::getline(page, line);) lines.push_back(line);
  return lines;
}

// Each field's row: "| `path` | meaning | `default` | allowed | environment |".
void ExpectRows(const Message& message, const std::string& path, const std::vector<std::string>& lines) {
  const Rules rules;
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor& field = *message.GetDescriptor()->field(i);
    const std::string name = path.empty() ? field.name() : std::format("{}.{}", path, field.name());
    if (field.is_repeated()) {
      if (field.message_type() == v1::ServiceConfig::descriptor()) {
        ExpectRows(ServiceDefaults(0), name + "[]", lines);
      } else {
        auto* const factory = google::protobuf::MessageFactory::generated_factory();
        ExpectRows(*factory->GetPrototype(field.message_type()), name + "[]", lines);
      }
      continue;
    }
    if (!IsScalar(field)) {
      ExpectRows(message.GetReflection()->GetMessage(message, &field), name, lines);
      continue;
    }
    const auto row = std::ranges::find_if(
        lines, [&](const std::string& line) { return line.starts_with(std::format("| `{}` |", name)); });
    ASSERT_NE(row, lines.end()) << "docs/configuration.md has no row for " << name;
    EXPECT_TRUE(row->contains(rules.AllowedText(field))) << *row << "\nlacks: " << rules.AllowedText(field);
    const std::string standard = ScalarText(message, field);
    EXPECT_TRUE(standard.empty() || row->contains(std::format("`{}`", standard))) << *row << "\nlacks: " << standard;
  }
}

TEST(ConfigurationReference, HasEveryFieldWithItsDefaultAndLimits) {
  const std::vector<std::string> lines = PageLines();
  ASSERT_FALSE(lines.empty());
  ExpectRows(Defaults(), "", lines);
}

TEST(Rules, DefaultsObeyThem) {
  v1::Config config = Defaults();
  *config.add_services() = ServiceDefaults(0);
  config.mutable_services(0)->set_name("core");
  FillDerived(config);
  const absl::Status status = Rules().CheckAll(config);
  EXPECT_TRUE(status.ok()) << status;
}

}  // namespace
}  // namespace leasehold::config

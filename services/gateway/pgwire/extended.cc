#include "services/gateway/pgwire/extended.h"

#include "services/gateway/pgwire/frame.h"

namespace leasehold::gateway::pgwire {
namespace {

bool FormatOf(const std::vector<uint16_t>& formats, size_t index) {
  if (formats.empty()) return false;
  if (formats.size() == 1) return formats[0] == 1;
  return index < formats.size() && formats[index] == 1;
}

std::vector<uint16_t> Formats(BodyReader& reader) {
  std::vector<uint16_t> formats;
  const uint16_t count = reader.U16();
  for (uint16_t i = 0; i < count && reader.ok(); ++i) formats.push_back(reader.U16());
  return formats;
}

}  // namespace

std::optional<ParseBody> ReadParse(std::string_view body) {
  BodyReader reader(body);
  ParseBody parse;
  parse.statement = reader.CString();
  parse.sql = reader.CString();
  const uint16_t count = reader.U16();
  for (uint16_t i = 0; i < count && reader.ok(); ++i) parse.types.push_back(reader.U32());
  if (!reader.ok() || !reader.rest().empty()) return std::nullopt;
  return parse;
}

bool BindBody::IsBinary(size_t parameter) const { return FormatOf(formats, parameter); }
bool BindBody::ResultIsBinary(size_t column) const { return FormatOf(result_formats, column); }

std::optional<BindBody> ReadBind(std::string_view body) {
  BodyReader reader(body);
  BindBody bind;
  bind.portal = reader.CString();
  bind.statement = reader.CString();
  bind.formats = Formats(reader);
  const uint16_t count = reader.U16();
  for (uint16_t i = 0; i < count && reader.ok(); ++i) {
    const uint32_t size = reader.U32();
    if (size == 0xffffffff) {
      bind.values.emplace_back(std::nullopt);
    } else {
      bind.values.emplace_back(reader.Bytes(size));
    }
  }
  bind.result_formats = Formats(reader);
  if (!reader.ok() || !reader.rest().empty()) return std::nullopt;
  if (bind.formats.size() > 1 && bind.formats.size() != bind.values.size()) return std::nullopt;
  return bind;
}

std::optional<BindNames> ReadBindNames(std::string_view body) {
  BodyReader reader(body);
  BindNames names;
  names.portal = reader.CString();
  names.statement = reader.CString();
  if (!reader.ok()) return std::nullopt;
  return names;
}

std::optional<TargetBody> ReadTarget(std::string_view body) {
  BodyReader reader(body);
  const std::string_view kind = reader.Bytes(1);
  TargetBody target;
  target.name = reader.CString();
  if (!reader.ok() || (kind[0] != 'S' && kind[0] != 'P')) return std::nullopt;
  target.kind = kind[0];
  return target;
}

std::optional<std::string_view> ReadExecute(std::string_view body) {
  BodyReader reader(body);
  const std::string_view portal = reader.CString();
  reader.U32();
  if (!reader.ok()) return std::nullopt;
  return portal;
}

}  // namespace leasehold::gateway::pgwire

#include "services/gateway/pool/server_login.h"

#include <format>
#include <utility>

#include "common/status/view.h"
#include "common/tls/end_point.h"
#include "services/gateway/pgwire/encode.h"
#include "services/gateway/pgwire/frame.h"
#include "services/gateway/pool/read_buffer.h"

namespace leasehold::gateway {
namespace {

LoginFailure Broken(std::string_view what) {
  return {.status = absl::UnavailableError(AbslView(what)), .from_server = {}};
}

}  // namespace

asio::awaitable<std::optional<LoginFailure>> LogIn(Stream& stream,
                                                   const std::vector<std::pair<std::string, std::string>>& startup,
                                                   const Secret& password, ChannelBinding binding,
                                                   ServerGreeting& greeting) {
  ReadBuffer inbox;
  ServerAuthentication authentication(
      password, stream.tls() ? tls::ClientEndPoint(stream.transport().ssl()) : std::string(), binding);
  std::string out;
  pgwire::Startup(out, startup);
  while (true) {
    if (!out.empty()) {
      if (const std::error_code error = co_await stream.Write(out)) co_return Broken(error.message());
      out.clear();
    }
    pgwire::Frame frame;
    const std::string_view data = inbox.Data();
    const pgwire::Answer answer = pgwire::ReadHeader(data, ReadBuffer::kCapacity - 1, frame);
    if (answer == pgwire::Answer::kStop) co_return Broken("not PostgreSQL, or a message too long for a log-in");
    if (answer == pgwire::Answer::kNeedMore || frame.size > data.size()) {
      const auto [error, count] = co_await stream.ReadSome(inbox.Free());
      if (error) co_return Broken(std::format("log-in: {}", error.message()));
      inbox.Filled(count);
      continue;
    }
    const std::string_view body = data.substr(pgwire::kHeaderSize, frame.size - pgwire::kHeaderSize);
    pgwire::BodyReader reader(body);
    switch (frame.type) {
      case 'R':
        if (absl::Status status = authentication.Answer(body, out); !status.ok()) {
          co_return LoginFailure{.status = std::move(status), .from_server = {}};
        }
        break;
      case 'S': {
        const std::string_view name = reader.CString();
        greeting.parameters.insert_or_assign(std::string(name), std::string(reader.CString()));
        break;
      }
      case 'K':
        greeting.key.process_id = reader.U32();
        greeting.key.secret = reader.U32();
        break;
      case 'E': {
        pgwire::ErrorFields fields = pgwire::ReadErrorFields(body);
        absl::Status status = absl::UnavailableError(std::format("{} {}", fields.code, fields.message));
        co_return LoginFailure{.status = std::move(status), .from_server = std::move(fields)};
      }
      case 'Z':
        // What comes behind it is for who reads on, and would be lost here.
        if (data.size() > frame.size) co_return Broken("log-in: more than a greeting");
        co_return std::nullopt;
      case 'N':  // NoticeResponse
        break;
      default:
        co_return Broken("not PostgreSQL, or a version that we do not know");
    }
    inbox.Consume(frame.size);
  }
}

}  // namespace leasehold::gateway

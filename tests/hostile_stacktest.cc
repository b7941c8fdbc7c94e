// Strangers and callers who mean harm, at the ports of real daemons: SQL in every text of every RPC, half and oversize
// messages, guessed cancel keys, credentials that were bent, stolen or have ended, at another replica too.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <google/protobuf/dynamic_message.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <postgresql/libpq-fe.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <format>
#include <memory>
#include <set>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "common/rpc/raw_call.h"
#include "common/secret/secret.h"
#include "common/status/error.h"
#include "common/status/grpc.h"
#include "leasehold/v1/audit.pb.h"
#include "leasehold/v1/doctor.pb.h"
#include "leasehold/v1/instance.pb.h"
#include "leasehold/v1/log.pb.h"
#include "leasehold/v1/migration.pb.h"
#include "leasehold/v1/policy.pb.h"
#include "leasehold/v1/pool.pb.h"
#include "leasehold/v1/provisioner.pb.h"
#include "leasehold/v1/status.pb.h"
#include "tests/stack/gateway.h"
#include "tests/stack/outputs.h"
#include "tests/stack/stack.h"

namespace leasehold::testing {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// The first 32 letters of what is meant for SQL; where a text is kept, it is kept as it is.
constexpr char kInjection[] = "x'; DROP SCHEMA leasehold CASCADE; --\"; DROP SCHEMA leasehold CASCADE; --";

// One unary call by its method's name; streams end with it too.
absl::Status Call(Stack& stack, const google::protobuf::MethodDescriptor& method, const Message& request) {
  grpc::ClientContext context;
  const std::string name = absl::StrCat("/", method.service()->full_name(), "/", method.name());
  return FromGrpc(rpc::CallRaw(stack.channel(), context, name, request.SerializeAsString()).status, "gateway");
}

// Each text field of a message, those of messages in it too, as the path to it.
using Path = std::vector<const FieldDescriptor*>;
void FindTexts(const google::protobuf::Descriptor& type, Path path, std::vector<Path>& texts) {
  if (path.size() > 3) return;
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor* field = type.field(i);
    path.push_back(field);
    if (field->is_map()) {
      texts.push_back(path);
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !field->is_repeated()) {
      FindTexts(*field->message_type(), path, texts);
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      texts.push_back(path);
    }
    path.pop_back();
  }
}

void Put(Message& message, const Path& path, size_t depth, const std::string& text) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  const FieldDescriptor* field = path[depth];
  if (field->is_map()) {
    Message* entry = reflection.AddMessage(&message, field);
    const google::protobuf::Descriptor& type = *entry->GetDescriptor();
    for (const char* part : {"key", "value"}) {
      const FieldDescriptor* half = type.FindFieldByName(part);
      if (half->cpp_type() == FieldDescriptor::CPPTYPE_STRING) entry->GetReflection()->SetString(entry, half, text);
    }
  } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    Put(*reflection.MutableMessage(&message, field), path, depth + 1, text);
  } else if (field->is_repeated()) {
    reflection.AddString(&message, field, text);
  } else {
    reflection.SetString(&message, field, text);
  }
}

// What gets a call past the checks of its other fields, so far as that can be said of a field by its name.
std::string Plausible(const Path& path, const std::string& tenant) {
  const std::string& name = path.back()->name();
  if (name == "id" || name == "tenant" || name == "source") return tenant;
  if (name == "service") return "alpha";
  return "";
}

TEST(Hostile, SqlInEveryTextOfEveryRpc) {
  Stack& stack = SharedStack();
  const std::string tenant = stack.CreateTenant(FreshTenantId());
  const auto tables = [&stack] {
    return stack.OnInstance("registry", "SELECT count(*) FROM pg_tables WHERE schemaname = 'leasehold'", "leasehold") +
           "/" +
           stack.OnInstance("alpha", "SELECT count(*) FROM pg_tables WHERE schemaname = 'leasehold'", "alpha_central");
  };
  const std::string before = tables();
  google::protobuf::DynamicMessageFactory factory;
  int calls = 0;
  for (const auto* any :
       {v1::Tenant::descriptor(), v1::Operation::descriptor(), v1::Backup::descriptor(), v1::Lease::descriptor(),
        v1::QueryLog::descriptor(), v1::Pool::descriptor(), v1::Finding::descriptor(),
        v1::ListDesiredRequest::descriptor(), v1::MigrationSelection::descriptor(), v1::AuditEvent::descriptor(),
        v1::Policy::descriptor(), v1::Instance::descriptor(), v1::Component::descriptor()}) {
    ASSERT_EQ(any->file()->service_count(), 1) << any->file()->name();
    const google::protobuf::ServiceDescriptor* const known = any->file()->service(0);
    for (int i = 0; i < known->method_count(); ++i) {
      const google::protobuf::MethodDescriptor& method = *known->method(i);
      // Streams are as their unary fellows; what ends the tenant would end the test.
      if (method.server_streaming() || method.name() == "DeleteTenant" || method.name() == "SuspendTenant") continue;
      std::vector<Path> texts;
      FindTexts(*method.input_type(), {}, texts);
      for (const Path& attacked : texts) {
        const std::unique_ptr<Message> request(factory.GetPrototype(method.input_type())->New());
        for (const Path& path : texts) {
          if (const std::string text = Plausible(path, tenant); path != attacked && !text.empty()) {
            Put(*request, path, 0, text);
          }
        }
        Put(*request, attacked, 0, kInjection);
        const absl::Status status = Call(stack, method, *request);
        EXPECT_NE(status.code(), absl::StatusCode::kInternal)
            << method.full_name() << " " << attacked.back()->name() << ": " << status;
        EXPECT_NE(status.code(), absl::StatusCode::kUnknown)
            << method.full_name() << " " << attacked.back()->name() << ": " << status;
        EXPECT_THAT(std::string(status.message()), ::testing::Not(::testing::HasSubstr("syntax error")));
        ++calls;
      }
    }
  }
  EXPECT_GT(calls, 60);
  EXPECT_EQ(tables(), before);
  EXPECT_TRUE(stack.AwaitState(tenant, v1::TENANT_STATE_ACTIVE));
  // Kept as a text where a text may be anything.
  v1::CreateTenantRequest create;
  create.mutable_tenant()->set_id(FreshTenantId());
  create.mutable_tenant()->set_name(kInjection);
  (*create.mutable_tenant()->mutable_settings())["plan"] = kInjection;
  v1::TenantChange change;
  const grpc::Status created = stack.tenants().CreateTenant(Deadline().get(), create, &change);
  ASSERT_TRUE(created.ok()) << created.error_message();
  v1::GetTenantRequest get;
  get.set_id(create.tenant().id());
  v1::Tenant got;
  ASSERT_TRUE(stack.tenants().GetTenant(Deadline().get(), get, &got).ok());
  EXPECT_EQ(got.name(), kInjection);
  EXPECT_EQ(got.settings().at("plan"), kInjection);
}

// A connection to host:port of this machine.
int ConnectTo(const std::string& address) {
  int port = 0;
  EXPECT_TRUE(absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port)) << address;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(port));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  return fd;
}

// True if the other end hangs up before the time is over.
bool IsHungUpOn(int fd, absl::Duration patience) {
  std::array<char, 4096> answer{};
  for (const absl::Time end = absl::Now() + patience;;) {
    pollfd ready = {.fd = fd, .events = POLLIN, .revents = 0};
    const auto left = absl::ToInt64Milliseconds(end - absl::Now());
    if (left <= 0 || poll(&ready, 1, static_cast<int>(left)) != 1) return false;
    if (recv(fd, answer.data(), answer.size(), 0) <= 0) return true;
  }
}

std::string Big32(uint32_t number) {
  const uint32_t big = htonl(number);
  return {reinterpret_cast<const char*>(&big), sizeof big};
}

// On each port of the daemons, and each is well afterwards.
TEST(Hostile, HalfAndOversizeMessagesAreHungUpOn) {
  Stack& stack = SharedStack();
  // A log-in has two seconds here; HTTP has five of its own.
  const Gateway gateway(stack,
                        [](v1::Config& config) { config.mutable_gateway()->mutable_login_timeout()->set_seconds(2); });
  const std::string provisioner = ConfigOf(stack).services(0).http_listen();
  struct Attack {
    std::string what;
    std::string address;
    std::string bytes;
  };
  std::vector<Attack> attacks = {
      {"SQL: nothing", gateway.sql(), ""},
      {"SQL: half a length", gateway.sql(), std::string("\0\0", 2)},
      {"SQL: half a start-up", gateway.sql(), Big32(100) + Big32(196608) + "user"},
      {"SQL: a start-up of a gigabyte", gateway.sql(), Big32(1 << 30) + Big32(196608)},
      {"SQL: no length at all", gateway.sql(), Big32(0) + Big32(196608)},
      {"SQL: SSLRequest and then nothing", gateway.sql(), Big32(8) + Big32(80877103)},
      {"SQL: a cancel request that is too long", gateway.sql(), Big32(1 << 20) + Big32(80877102)},
      {"SQL: HTTP", gateway.sql(), "GET / HTTP/1.1\r\n\r\n"},
      {"SQL: a first message of 2 GiB", gateway.sql(),
       Big32(17) + Big32(196608) + std::string("user\0x\0\0", 8) + "\0" + "p" + Big32(0x7fffffff)},
      {"gRPC: no preface", gateway.grpc(), "GET / HTTP/1.1\r\n\r\n"},
      {"gRPC: noise", gateway.grpc(), std::string(1000, '\xff')},
      // A frame of 16 MiB, of which nothing comes.
      {"gRPC: an oversize frame", gateway.grpc(),
       std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") + std::string("\xff\xff\xff\x00\x00\x00\x00\x00\x01", 9)},
  };
  for (const std::string& http : {gateway.http(), provisioner}) {
    attacks.push_back({"HTTP: nothing", http, ""});
    attacks.push_back({"HTTP: half a request", http, "GET /metrics HTTP/1.1\r\nHost: x\r\n"});
    attacks.push_back({"HTTP: headers without end", http, "GET /metrics HTTP/1.1\r\nX: " + std::string(100'000, 'x')});
    attacks.push_back(
        {"HTTP: a body without end", http, "POST /metrics HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n"});
  }
  std::vector<int> fds;
  const absl::Cleanup close_all = [&fds] {
    for (const int fd : fds) close(fd);
  };
  for (const Attack& attack : attacks) {
    fds.push_back(ConnectTo(attack.address));
    EXPECT_EQ(send(fds.back(), attack.bytes.data(), attack.bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(attack.bytes.size()))
        << attack.what;
  }
  for (size_t i = 0; i < fds.size(); ++i) EXPECT_TRUE(IsHungUpOn(fds[i], absl::Seconds(45))) << attacks[i].what;

  // More than gRPC takes in one message.
  v1::CreateTenantRequest request;
  request.mutable_tenant()->set_id("oversize");
  request.mutable_tenant()->set_name(std::string(8 << 20, 'x'));
  v1::TenantChange change;
  const auto stub = v1::TenantService::NewStub(grpc::CreateChannel(gateway.grpc(), grpc::InsecureChannelCredentials()));
  EXPECT_EQ(stub->CreateTenant(Deadline().get(), request, &change).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);

  EXPECT_TRUE(IsReady(gateway.http()));
  EXPECT_TRUE(IsReady(provisioner));
  const std::string id = stack.CreateTenant(FreshTenantId());
  pqxx::connection session(absl::StrReplaceAll(stack.Acquire(id, "alpha").credentials().dsn(),
                                               {{stack.Env("LEASEHOLD_SQL"), gateway.sql()}}));
  EXPECT_EQ(*Value(session, "SELECT 1"), "1");
}

// A query goes on while somebody guesses at its cancel key, who knows the process id; the key itself ends it.
TEST(Hostile, CancelKeysAreNotGuessed) {
  Stack& stack = SharedStack();
  const std::string id = stack.CreateTenant(FreshTenantId());
  const std::string dsn = stack.Acquire(id, "alpha").credentials().dsn();
  const std::unique_ptr<PGconn, decltype(&PQfinish)> victim(PQconnectdb(dsn.c_str()), PQfinish);
  ASSERT_EQ(PQstatus(victim.get()), CONNECTION_OK) << PQerrorMessage(victim.get());
  ASSERT_EQ(PQsendQuery(victim.get(), "SELECT pg_sleep(60)"), 1);
  ASSERT_TRUE(Eventually([&] {
    return stack.OnInstance("alpha",
                            "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'"
                            " AND state = 'active'") == "1";
  }));
  const auto guess = [&](uint32_t process, uint32_t secret) {
    const int fd = ConnectTo(stack.Env("LEASEHOLD_SQL"));
    const std::string packet = Big32(16) + Big32(80877102) + Big32(process) + Big32(secret);
    ASSERT_EQ(send(fd, packet.data(), packet.size(), MSG_NOSIGNAL), static_cast<ssize_t>(packet.size()));
    EXPECT_TRUE(IsHungUpOn(fd, absl::Seconds(30)));
    close(fd);
  };
  const auto process = static_cast<uint32_t>(PQbackendPID(victim.get()));
  std::set<uint32_t> secrets = {0, 1, process, 0x7fffffff, 0xffffffff};
  while (secrets.size() < 300) {
    uint32_t secret = 0;
    RandomBytes({reinterpret_cast<uint8_t*>(&secret), sizeof secret});
    secrets.insert(secret);
  }
  for (const uint32_t secret : secrets) guess(process, secret);
  EXPECT_EQ(PQconsumeInput(victim.get()), 1);
  EXPECT_EQ(PQisBusy(victim.get()), 1) << "it was cancelled by a guess";
  PGcancel* cancel = PQgetCancel(victim.get());
  std::array<char, 256> why{};
  EXPECT_EQ(PQcancel(cancel, why.data(), why.size()), 1) << why.data();
  PQfreeCancel(cancel);
  PGresult* result = PQgetResult(victim.get());
  EXPECT_STREQ(PQresultErrorField(result, PG_DIAG_SQLSTATE), "57014");
  PQclear(result);
}

// What one gateway has given out, at another one.
TEST(Hostile, CredentialsThatAreBentOrHaveEnded) {
  Stack& stack = SharedStack();
  const Gateway other(stack);
  const std::string id = stack.CreateTenant(FreshTenantId());
  const std::string victim = stack.CreateTenant(FreshTenantId());
  const auto lease = stack.Acquire(id, "alpha");
  const auto connect = [&](const std::string& gateway, const std::string& user, const std::string& password,
                           const std::string& database) {
    return SqlStateOf(
        [&] { pqxx::connection(std::format("postgresql://{}:{}@{}/{}", user, password, gateway, database)); });
  };
  const std::string& user = lease.credentials().user();
  const std::string& password = lease.credentials().password();
  const std::string database = absl::StrCat("tenant_", id, "_alpha");
  ASSERT_EQ(connect(other.sql(), user, password, database), "");

  // Its claims with another tenant, another end, another key; its password for another lease.
  const auto claims_of = [](const std::string& name) {
    v1::LeaseClaims claims;
    EXPECT_TRUE(claims.ParseFromString(FromBase64Url(name.substr(name.find('.') + 1)).value()));
    return claims;
  };
  const auto bent = [&](const std::function<void(v1::LeaseClaims&)>& bend) {
    v1::LeaseClaims claims = claims_of(user);
    bend(claims);
    return user.substr(0, user.find('.') + 1) + Base64Url(claims.SerializeAsString());
  };
  for (const std::string& forged : {bent([&](v1::LeaseClaims& claims) { claims.set_tenant(victim); }),
                                    bent([](v1::LeaseClaims& claims) { claims.add_switch_to("*"); }),
                                    bent([](v1::LeaseClaims& claims) { claims.set_expire_ms(claims.expire_ms() + 1); }),
                                    bent([](v1::LeaseClaims& claims) { claims.set_key_id(claims.key_id() + 1); }),
                                    bent([](v1::LeaseClaims& claims) {
                                      claims.clear_tenant();
                                      claims.set_connection("central");
                                    }),
                                    stack.Acquire(victim, "alpha").credentials().user()}) {
    for (const std::string& gateway : {stack.Env("LEASEHOLD_SQL"), other.sql()}) {
      EXPECT_THAT(connect(gateway, forged, password, "alpha"), ::testing::HasSubstr("user name or password is wrong"));
    }
  }
  ASSERT_EQ(connect(other.sql(), user, password, database), "") << "none of that has touched the lease itself";
  ASSERT_NE(connect(other.sql(), user, password, absl::StrCat("tenant_", victim, "_alpha")), "");

  // Revoked at one, it is refused at the other within a second, and stays so.
  const Stack::Output revoked = stack.Run({"lease", "revoke", lease.lease().id()});
  ASSERT_EQ(revoked.exit_code, 0) << revoked.err;
  EXPECT_TRUE(Eventually([&] { return !connect(other.sql(), user, password, database).empty(); }, absl::Seconds(5)));
  EXPECT_NE(connect(stack.Env("LEASEHOLD_SQL"), user, password, database), "");

  Stack::LeaseOptions shortly;
  shortly.ttl = absl::Seconds(1);
  const auto ends = stack.Acquire(id, "alpha", shortly);
  EXPECT_TRUE(Eventually([&] {
    return !connect(other.sql(), ends.credentials().user(), ends.credentials().password(), database).empty();
  }));
}

}  // namespace
}  // namespace leasehold::testing

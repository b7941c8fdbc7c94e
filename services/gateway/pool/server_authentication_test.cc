#include "services/gateway/pool/server_authentication.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/gateway/pgwire/encode.h"
#include "services/gateway/pgwire/frame.h"

namespace leasehold::gateway {
namespace {

constexpr std::string_view kPassword = "correct horse";

class ServerAuthenticationTest : public testing::Test {
 protected:
  // The body of the one message in `message`.
  static std::string Body(const std::string& message) { return message.substr(pgwire::kHeaderSize); }

  // Each returns what the gateway answers, without type and length; "refused" if it does not.
  std::string Hear(const std::string& message) {
    std::string out;
    status_ = authentication_->Answer(Body(message), out);
    if (!status_.ok()) return "refused";
    return out.empty() ? "" : Body(out);
  }
  std::string Offer(std::initializer_list<std::string_view> mechanisms) {
    std::string message;
    pgwire::AuthenticationSasl(message, mechanisms);
    return Hear(message);
  }
  std::string Continue(std::string_view data) {
    std::string message;
    pgwire::AuthenticationSaslContinue(message, data);
    return Hear(message);
  }
  std::string Final(std::string_view data) {
    std::string message;
    pgwire::AuthenticationSaslFinal(message, data);
    return Hear(message);
  }
  std::string Ok() {
    std::string message;
    pgwire::AuthenticationOk(message);
    return Hear(message);
  }
  std::string Method(char kind) { return Hear(std::string("R\0\0\0\x08\0\0\0", 8) + kind); }

  static std::string ClientFirst(const std::string& initial_response, std::string_view mechanism = "SCRAM-SHA-256") {
    pgwire::BodyReader reader(initial_response);
    EXPECT_EQ(reader.CString(), mechanism);
    const uint32_t size = reader.U32();
    return std::string(reader.Bytes(size));
  }

  const Secret password_{std::string(kPassword)};
  std::optional<ServerAuthentication> authentication_{password_};
  scram::ServerExchange server_{scram::MakeVerifier(kPassword, "0123456789abcdef", 1), "bm9uY2U="};
  absl::Status status_;
};

TEST_F(ServerAuthenticationTest, ByScram) {
  const std::string client_first = ClientFirst(Offer({"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"}));
  const std::string client_final = Continue(*server_.OnClientFirst(client_first));
  const absl::StatusOr<std::string> server_final = server_.OnClientFinal(client_final);
  ASSERT_TRUE(server_final.ok()) << server_final.status();
  EXPECT_EQ(Final(*server_final), "");
  EXPECT_EQ(Ok(), "");
  EXPECT_EQ(Offer({"SCRAM-SHA-256"}), "refused") << "once is enough";
}

TEST_F(ServerAuthenticationTest, ByTrust) { EXPECT_EQ(Ok(), ""); }

TEST_F(ServerAuthenticationTest, BoundWhereThereIsSomethingToBindTo) {
  const std::string end_point(32, 'e');
  authentication_.emplace(password_, end_point, ChannelBinding::kPrefer);
  scram::ServerExchange server(scram::MakeVerifier(kPassword, "0123456789abcdef", 1), "bm9uY2U=", end_point);
  const std::string first = ClientFirst(Offer({"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"}), "SCRAM-SHA-256-PLUS");
  const auto server_final = server.OnClientFinal(Continue(*server.OnClientFirst(first, "SCRAM-SHA-256-PLUS")));
  ASSERT_TRUE(server_final.ok()) << server_final.status();
  EXPECT_EQ(Final(*server_final), "");
  EXPECT_EQ(Ok(), "");
}

TEST_F(ServerAuthenticationTest, SaysWhetherItCouldHaveBound) {
  EXPECT_THAT(ClientFirst(Offer({"SCRAM-SHA-256"})), testing::StartsWith("n,,"));
  authentication_.emplace(password_, "hash", ChannelBinding::kPrefer);
  EXPECT_THAT(ClientFirst(Offer({"SCRAM-SHA-256"})), testing::StartsWith("y,,"));
  authentication_.emplace(password_, "hash", ChannelBinding::kDisable);
  EXPECT_THAT(ClientFirst(Offer({"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"})), testing::StartsWith("n,,"));
}

TEST_F(ServerAuthenticationTest, RequiredBindingIsNotNegotiated) {
  for (const char* end_point : {"", "hash"}) {
    authentication_.emplace(password_, end_point, ChannelBinding::kRequire);
    EXPECT_EQ(Offer({"SCRAM-SHA-256"}), "refused");
    authentication_.emplace(password_, end_point, ChannelBinding::kRequire);
    EXPECT_EQ(Ok(), "refused") << "trust";
  }
  authentication_.emplace(password_, "", ChannelBinding::kRequire);
  EXPECT_EQ(Offer({"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"}), "refused") << "a connection without TLS";
}

TEST_F(ServerAuthenticationTest, AServerThatDoesNotKnowThePasswordIsNotBelieved) {
  const std::string client_first = ClientFirst(Offer({"SCRAM-SHA-256"}));
  scram::ServerExchange impostor(scram::MakeVerifier("a guess", "0123456789abcdef", 1), "bm9uY2U=");
  Continue(*impostor.OnClientFirst(client_first));
  EXPECT_EQ(Final("v=" + std::string(43, 'A') + "="), "refused");
  EXPECT_TRUE(absl::IsUnauthenticated(status_));
}

TEST_F(ServerAuthenticationTest, NorOneThatBreaksOffInTheMiddle) {
  Offer({"SCRAM-SHA-256"});
  EXPECT_EQ(Ok(), "refused");
  EXPECT_TRUE(absl::IsUnauthenticated(status_));
}

TEST_F(ServerAuthenticationTest, NoOtherMethodGetsThePassword) {
  EXPECT_EQ(Method(3), "refused") << "in clear";
  EXPECT_EQ(Method(5), "refused") << "MD5";
  EXPECT_EQ(Method(7), "refused") << "GSSAPI";
  EXPECT_TRUE(absl::IsUnauthenticated(status_));
  EXPECT_EQ(Offer({"SCRAM-SHA-256-PLUS", "OAUTHBEARER"}), "refused");
}

TEST_F(ServerAuthenticationTest, OutOfOrder) {
  EXPECT_EQ(Continue("r=x,s=eA==,i=1"), "refused");
  EXPECT_EQ(Final("v=eA=="), "refused");
}

TEST_F(ServerAuthenticationTest, Malformed) {
  std::string out;
  EXPECT_FALSE(authentication_->Answer("", out).ok());
  EXPECT_FALSE(authentication_->Answer("\0\0", out).ok());
  EXPECT_FALSE(authentication_->Answer(std::string_view("\0\0\0\x0aSCRAM-SHA", 13), out).ok()) << "no end of the name";
  Offer({"SCRAM-SHA-256"});
  EXPECT_EQ(Continue("nonsense"), "refused");
  EXPECT_TRUE(out.empty());
}

}  // namespace
}  // namespace leasehold::gateway

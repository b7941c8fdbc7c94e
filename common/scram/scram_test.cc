#include "common/scram/scram.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "common/status/error.h"

namespace leasehold::scram {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// RFC 7677, section 3.
constexpr std::string_view kClientNonce = "rOprNGfwEbeRWgbNEkqO";
constexpr std::string_view kServerNonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
constexpr std::string_view kClientFirst = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
constexpr std::string_view kServerFirst =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
constexpr std::string_view kClientFinal =
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
constexpr std::string_view kServerFinal = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

std::string Salt() { return FromBase64("W22ZaJ0SNY7soEsUEjb6gQ==").value(); }
Verifier Pencil() { return MakeVerifier("pencil", Salt(), 4096); }
Secret Password(std::string_view text) { return Secret(std::string(text)); }

ServerExchange RfcServer() { return ServerExchange(Pencil(), std::string(kServerNonce)); }
ClientExchange RfcClient() { return ClientExchange(Password("pencil"), std::string(kClientNonce), "user"); }

TEST(Rfc7677, ServerSide) {
  ServerExchange server = RfcServer();
  EXPECT_EQ(server.OnClientFirst(kClientFirst).value(), kServerFirst);
  EXPECT_EQ(server.OnClientFinal(kClientFinal).value(), kServerFinal);
}

TEST(Rfc7677, ClientSide) {
  ClientExchange client = RfcClient();
  EXPECT_EQ(client.ClientFirst(), kClientFirst);
  EXPECT_EQ(client.OnServerFirst(kServerFirst).value(), kClientFinal);
  EXPECT_TRUE(client.OnServerFinal(kServerFinal).ok());
}

TEST(PostgresSecret, IsTheFormOfRolpassword) {
  EXPECT_EQ(PostgresSecret(Pencil()),
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
            "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
  EXPECT_EQ(PostgresSecret(MakeVerifier("pencil", Salt(), 1)),
            "SCRAM-SHA-256$1:W22ZaJ0SNY7soEsUEjb6gQ==$bzcn5wYzlcMpEXczzDM1iuyLhni5BVbqsm82vjMHWXI=:"
            "fg/vS0Y425LcbLGWSqdzrFlRn9451QblzgpwLQYoXCI=");
}

TEST(MakeNonce, IsNewEachTime) {
  EXPECT_EQ(FromBase64(MakeNonce()).value().size(), 18u);
  EXPECT_NE(MakeNonce(), MakeNonce());
}

// Both sides against each other.
absl::Status Exchange(std::string_view server_password, std::string_view client_password, int iterations) {
  ServerExchange server(MakeVerifier(server_password, Salt(), iterations), MakeNonce());
  ClientExchange client(Password(client_password), MakeNonce());
  LH_ASSIGN_OR_RETURN(const std::string server_first, server.OnClientFirst(client.ClientFirst()));
  LH_ASSIGN_OR_RETURN(const std::string client_final, client.OnServerFirst(server_first));
  LH_ASSIGN_OR_RETURN(const std::string server_final, server.OnClientFinal(client_final));
  return client.OnServerFinal(server_final);
}

TEST(Exchange, AgreesOnTheRightPasswordOnly) {
  EXPECT_TRUE(Exchange("hunter2", "hunter2", 4096).ok());
  EXPECT_TRUE(Exchange("hunter2", "hunter2", 1).ok());
  const absl::Status wrong = Exchange("hunter2", "hunter3", 1);
  EXPECT_EQ(ReasonOf(wrong), v1::REASON_BAD_CREDENTIALS);
  EXPECT_EQ(wrong.message(), "password authentication failed");
  EXPECT_FALSE(Exchange("hunter2", "", 1).ok());
  EXPECT_TRUE(Exchange("", "", 1).ok());
}

TEST(Server, TakesWhatClientsReallySend) {
  for (const std::string_view first :
       {"n,,n=,r=abc", "n,,n=*,r=abc", "y,,n=,r=abc", "n,,n=a=2Cb=3D,r=abc", "n,,n=,r=abc,x=1"}) {
    EXPECT_THAT(RfcServer().OnClientFirst(first).value_or("error"), StartsWith("r=abc%hvY")) << first;
  }
}

TEST(Server, RefusesAMalformedClientFirst) {
  for (const std::string_view first : {
           "",
           "n",
           "n,",
           "n,,",
           "x,,n=,r=abc",                       // no GS2 header, or no more than that
           "p=tls-server-end-point,,n=,r=abc",  // not with this mechanism
           "n,a=admin,n=,r=abc",
           "y,a=admin,n=,r=abc",
           "n,x,n=,r=abc",  // an authorization identity
           "n,,r=abc",
           "n,,n=user",
           "n,,n=user,",
           "n,,n=,x=1,r=abc",  // an attribute is missing or out of order
           "n,,n=,r=",
           "n,,n=,r=a b",
           "n,,n=,r=a\x01",
           "n,,n=,r=\xc3\xa9",  // no nonce
           "n,,n=a=b,r=abc",
           "n,,n=a=2,r=abc",
           "n,,n=a=2c,r=abc",  // no saslname
           "n,,m=1,n=,r=abc",
           "n,,n=,r=abc,m=1",
           "n,,n=,r=abc,",
           "n,,n=,r=abc,1=x",
           "n,,n=,r=abc,x=",
           "n,,n=,r=abc,x",
       }) {
    const absl::Status status = RfcServer().OnClientFirst(first).status();
    EXPECT_EQ(ReasonOf(status), v1::REASON_BAD_CREDENTIALS) << first;
  }
  EXPECT_FALSE(RfcServer().OnClientFirst("n,,n=,r=" + std::string(kMaxMessageBytes, 'a')).ok());
}

TEST(Server, RefusesAMalformedClientFinal) {
  const std::string nonce = std::string(kClientNonce) + std::string(kServerNonce);
  const std::string proof = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
  const std::vector<std::string> finals = {
      "",
      "c=biws",
      "c=biws,r=" + nonce,
      "c=biws,r=" + nonce + ",",
      "c=biws,r=" + nonce + ",p=",
      "c=biws,r=" + nonce + ",p=" + proof.substr(4),
      "c=biws,r=" + nonce + ",p=" + proof + "AAAA",
      "c=biws,r=" + nonce + ",p=!" + proof.substr(1),
      "c=biws,r=" + nonce + ",p=" + proof + ",x=1",
      "c=biws,r=" + nonce + ",p=" + proof + ",p=" + proof,
      "c=biws,r=" + nonce + ",m=1,p=" + proof,
      "c=biws,r=" + nonce + "x,p=" + proof,
      "c=biws,r=" + std::string(kClientNonce) + ",p=" + proof,
      "c=eSws,r=" + nonce + ",p=" + proof,
      "c=,r=" + nonce + ",p=" + proof,
      "c=????,r=" + nonce + ",p=" + proof,
      "r=" + nonce + ",p=" + proof,
      "c=biws,r=" + nonce + ",x=1,p=" + proof,  // well-formed, but not what was proven
      "c=biws,r=" + nonce + ",p=eHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
      std::string(kClientFinal) + std::string(kMaxMessageBytes, ' '),
  };
  for (const std::string& final : finals) {
    ServerExchange server = RfcServer();
    ASSERT_TRUE(server.OnClientFirst(kClientFirst).ok());
    EXPECT_EQ(ReasonOf(server.OnClientFinal(final).status()), v1::REASON_BAD_CREDENTIALS) << final;
  }
}

TEST(Server, BindsTheGs2HeaderThatItSaw) {
  ServerExchange server = RfcServer();
  ASSERT_TRUE(server.OnClientFirst("y,,n=user,r=rOprNGfwEbeRWgbNEkqO").ok());
  const std::string rest(kClientFinal.substr(std::string_view("c=biws").size()));
  const absl::Status stripped = server.OnClientFinal(kClientFinal).status();
  EXPECT_THAT(std::string(stripped.message()), HasSubstr("channel binding does not match"));

  ServerExchange again = RfcServer();
  ASSERT_TRUE(again.OnClientFirst("y,,n=user,r=rOprNGfwEbeRWgbNEkqO").ok());
  EXPECT_EQ(again.OnClientFinal("c=eSws" + rest).status().message(), "password authentication failed");
}

using Channel = ClientExchange::Channel;
using Binding = Channel::Binding;

// As above, of a TLS connection that the two sides may see differently.
absl::Status BoundExchange(const std::string& server_end_point, const Channel& channel,
                           std::string_view mechanism = kPlusMechanism) {
  ServerExchange server(MakeVerifier("hunter2", Salt(), 1), MakeNonce(), server_end_point);
  ClientExchange client(Password("hunter2"), MakeNonce(), channel);
  LH_ASSIGN_OR_RETURN(const std::string server_first, server.OnClientFirst(client.ClientFirst(), mechanism));
  LH_ASSIGN_OR_RETURN(const std::string client_final, client.OnServerFirst(server_first));
  LH_ASSIGN_OR_RETURN(const std::string server_final, server.OnClientFinal(client_final));
  return client.OnServerFinal(server_final);
}

TEST(Binding, ToTheSameConnectionOnly) {
  const Channel here{.binding = Binding::kEndPoint, .end_point = std::string(32, '\x01')};
  EXPECT_TRUE(BoundExchange(here.end_point, here).ok());
  EXPECT_FALSE(BoundExchange(std::string(32, '\x02'), here).ok());
  EXPECT_FALSE(BoundExchange(here.end_point, {.binding = Binding::kEndPoint, .end_point = ""}).ok());
  EXPECT_FALSE(BoundExchange("", here).ok()) << "not offered";
  EXPECT_FALSE(BoundExchange(here.end_point, here, kMechanism).ok()) << "the mechanism says otherwise";
  EXPECT_FALSE(BoundExchange(here.end_point, {}).ok()) << "the mechanism promises what the message does not do";
  EXPECT_FALSE(BoundExchange(here.end_point, here, "SCRAM-SHA-1-PLUS").ok());
}

TEST(Binding, AnOfferThatGotLostIsNoticed) {
  const Channel misled{.binding = Binding::kNotOffered};
  const absl::Status status = BoundExchange("offered", misled, kMechanism);
  EXPECT_THAT(std::string(status.message()), HasSubstr("was not told of channel binding"));
  EXPECT_TRUE(BoundExchange("", misled, kMechanism).ok()) << "it was not offered";
  EXPECT_TRUE(BoundExchange("offered", {.binding = Binding::kUnable}, kMechanism).ok());
}

TEST(Binding, OtherTypesAreRefused) {
  for (const std::string first :
       {"p=tls-unique,,n=,r=abc", "p=tls-server-end-pointx,,n=,r=abc", "p=tls-server-end-point,a=other,n=,r=abc",
        "p=tls-server-end-point", "p=tls-server-end-point,", "p=,,n=,r=abc", "n,,n=,r=abc", "y,,n=,r=abc"}) {
    EXPECT_FALSE(
        ServerExchange(MakeVerifier("x", Salt(), 1), "bm9uY2U=", "hash").OnClientFirst(first, kPlusMechanism).ok())
        << first;
  }
}

TEST(Server, TakesExtensionsThatTheProofCovers) {
  ServerExchange server = RfcServer();
  const std::string server_first = server.OnClientFirst(kClientFirst).value();
  const std::string without_proof = "c=biws,r=" + std::string(kClientNonce) + std::string(kServerNonce) + ",x=1";
  // The proof, worked out here by the RFC's formulas.
  const auto view = [](const std::array<uint8_t, 32>& d) {
    return std::string_view(reinterpret_cast<const char*>(d.data()), d.size());
  };
  const Verifier verifier = Pencil();
  const std::string auth = "n=user,r=" + std::string(kClientNonce) + "," + server_first + "," + without_proof;
  const std::array<uint8_t, 32> signature = HmacSha256(view(verifier.stored_key), auth);
  // ClientKey = ClientProof XOR ClientSignature of the RFC's own exchange.
  const std::string rfc_proof = FromBase64("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").value();
  const std::string rfc_auth = std::string(kClientFirst.substr(3)) + "," + std::string(kServerFirst) + "," +
                               std::string(kClientFinal.substr(0, kClientFinal.find(",p=")));
  const std::array<uint8_t, 32> rfc_signature = HmacSha256(view(verifier.stored_key), rfc_auth);
  std::string proof = rfc_proof;
  for (size_t i = 0; i < proof.size(); ++i) proof[i] = static_cast<char>(proof[i] ^ rfc_signature[i] ^ signature[i]);
  EXPECT_THAT(server.OnClientFinal(without_proof + ",p=" + Base64(proof)).value_or("error"), StartsWith("v="));
}

TEST(Server, IsGoodForOneExchangeInOrder) {
  ServerExchange final_first = RfcServer();
  EXPECT_FALSE(final_first.OnClientFinal(kClientFinal).ok());
  EXPECT_FALSE(final_first.OnClientFirst(kClientFirst).ok());

  ServerExchange twice = RfcServer();
  ASSERT_TRUE(twice.OnClientFirst(kClientFirst).ok());
  EXPECT_FALSE(twice.OnClientFirst(kClientFirst).ok());
  EXPECT_FALSE(twice.OnClientFinal(kClientFinal).ok());

  ServerExchange guessing = RfcServer();
  ASSERT_TRUE(guessing.OnClientFirst(kClientFirst).ok());
  EXPECT_FALSE(guessing.OnClientFinal("c=biws").ok());
  EXPECT_FALSE(guessing.OnClientFinal(kClientFinal).ok());
}

TEST(Client, RefusesAMalformedServerFirst) {
  for (const std::string_view first : {
           "",
           "r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",   // the server added nothing
           "r=somebodyElsesNonce00x,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",  // not an answer to this client
           "r=rOprNGfwEbeRWgbNEkqOx",                                    // no salt
           "r=rOprNGfwEbeRWgbNEkqOx,i=4096",                             // no salt
           "r=rOprNGfwEbeRWgbNEkqOx,s=,i=4096",                          // an empty one
           "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z!,i=4096",                     // not base64
           "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==",         // no count
           "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=0",
           "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=-1",
           "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096x",
           "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=10000001",  // would keep this client busy
           "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=99999999999999999999",
           "m=1,r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
           "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,m=1",
       }) {
    const absl::Status status = RfcClient().OnServerFirst(first).status();
    EXPECT_TRUE(absl::IsUnauthenticated(status)) << first;
    EXPECT_FALSE(ClientSafe(status));
  }
}

TEST(Client, RefusesAServerThatCannotProveItself) {
  for (const std::string_view final : {"", "v=", "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=", "x=1",
                                       "v=AAAATRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="}) {
    ClientExchange client = RfcClient();
    ASSERT_TRUE(client.OnServerFirst(kServerFirst).ok());
    EXPECT_TRUE(absl::IsUnauthenticated(client.OnServerFinal(final))) << final;
  }
  ClientExchange early = RfcClient();
  EXPECT_FALSE(early.OnServerFinal("v=").ok());
}

TEST(Client, PassesTheServersRefusalOn) {
  ClientExchange client = RfcClient();
  ASSERT_TRUE(client.OnServerFirst(kServerFirst).ok());
  const absl::Status status = client.OnServerFinal("e=invalid-proof");
  EXPECT_THAT(std::string(status.message()), HasSubstr("invalid-proof"));
}

TEST(Client, EscapesItsUserName) {
  EXPECT_EQ(ClientExchange(Password("x"), "abc", "a,b=c").ClientFirst(), "n,,n=a=2Cb=3Dc,r=abc");
  EXPECT_EQ(ClientExchange(Password("x"), "abc").ClientFirst(), "n,,n=,r=abc");
}

TEST(Errors, DoNotShowWhatWasSent) {
  const absl::Status status = RfcServer().OnClientFirst("n,,n=topsecret,r=").status();
  EXPECT_THAT(status.ToString(), Not(HasSubstr("topsecret")));
}

}  // namespace
}  // namespace leasehold::scram

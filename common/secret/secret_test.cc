#include "common/secret/secret.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <new>
#include <set>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/status/view.h"

namespace leasehold {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

template <size_t N>
std::string Hex(const std::array<uint8_t, N>& bytes) {
  return leasehold::Hex({reinterpret_cast<const char*>(bytes.data()), N});
}

// A string this short lives inside the object, where a move leaves it behind.
constexpr char kShort[] = "hunter2";
const std::string kLong(64, 'k');

bool Contains(const void* object, size_t size, std::string_view text) {
  const std::string_view bytes(static_cast<const char*>(object), size);
  return bytes.find(text) != std::string_view::npos;
}

TEST(Secret, MovingClearsTheSource) {
  for (const std::string& text : {std::string(kShort), kLong}) {
    const std::string left_behind = text.substr(1);  // std::string itself overwrites the first byte
    Secret source(text);
    const Secret target(std::move(source));
    EXPECT_EQ(target.reveal(), text);
    EXPECT_TRUE(source.empty());
    EXPECT_FALSE(Contains(&source, sizeof(source), left_behind));

    Secret again(text);
    Secret assigned(std::string("old"));
    assigned = std::move(again);
    EXPECT_EQ(assigned.reveal(), text);
    EXPECT_TRUE(again.empty());
    EXPECT_FALSE(Contains(&again, sizeof(again), left_behind));
  }
}

TEST(Secret, LeavesNothingBehindWhenDropped) {
  alignas(Secret) std::array<char, sizeof(Secret)> memory{};
  Secret* secret = new (memory.data()) Secret(std::string(kShort));
  ASSERT_TRUE(Contains(memory.data(), memory.size(), kShort))
      << "the string is not stored in place: test something else";
  std::destroy_at(secret);
  EXPECT_FALSE(Contains(memory.data(), memory.size(), kShort));
}

TEST(Secret, CopiesAreIndependent) {
  Secret a{kLong};
  Secret b = a;
  a = Secret(std::string("other"));
  EXPECT_EQ(b.reveal(), kLong);
  EXPECT_EQ(a.reveal(), "other");
  Secret& alias = b;
  b = alias;
  EXPECT_EQ(b.reveal(), kLong);
}

TEST(Secret, CannotBePrintedByAccident) {
  static_assert(!std::is_convertible_v<Secret, std::string>);
  static_assert(!std::is_convertible_v<Secret, std::string_view>);
  static_assert(!std::is_convertible_v<std::string, Secret>);
  static_assert(!std::formattable<Secret, char>);
}

TEST(EqualSecrets, ComparesContent) {
  EXPECT_TRUE(EqualSecrets("", ""));
  EXPECT_TRUE(EqualSecrets("abc", std::string("abc")));
  EXPECT_FALSE(EqualSecrets("abc", "abd"));
  EXPECT_FALSE(EqualSecrets("abc", "ab"));
  EXPECT_FALSE(EqualSecrets("", "a"));
}

// RFC 4231, section 4.
TEST(HmacSha256, AgreesWithTheRfc) {
  EXPECT_EQ(Hex(HmacSha256(std::string(20, '\x0b'), "Hi There")),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(Hex(HmacSha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(Hex(HmacSha256(std::string(20, '\xaa'), std::string(50, '\xdd'))),
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
  EXPECT_EQ(Hex(HmacSha256(std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
  EXPECT_EQ(Hex(HmacSha256(std::string(131, '\xaa'),
                           "This is a test using a larger than block-size key and a larger than block-size data. The "
                           "key needs to be hashed before being used by the HMAC algorithm.")),
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
}

TEST(HmacSha256, TakesEmptyKeyAndMessage) {
  EXPECT_EQ(Hex(HmacSha256({}, {})), "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

// A thread's computations share what they are made with.
TEST(HmacSha256, IsTheSameOnManyThreadsAtOnceAndAmongHashes) {
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&wrong] {
      for (int j = 0; j < 1000; ++j) {
        const bool right = Hex(HmacSha256("Jefe", "what do ya want for nothing?")) ==
                               "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" &&
                           Hex(Sha256("abc")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        if (!right) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Sha256, AgreesWithFips180) {
  EXPECT_EQ(Hex(Sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Hex(Sha256({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(RandomBytes, Differ) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    const std::string hex = RandomHex(16);
    EXPECT_EQ(hex.size(), 32u);
    EXPECT_TRUE(seen.insert(hex).second);
  }
  EXPECT_EQ(RandomHex(0), "");
}

TEST(SecretTest, ForLibrariesOfCItEndsWhereItEnds) {
  EXPECT_STREQ(Secret("hunter2").reveal_c_str(), "hunter2");
  EXPECT_STREQ(Secret().reveal_c_str(), "");
  EXPECT_EQ(Secret(std::string("hunter\0002", 8)).reveal_c_str(), nullptr);
  EXPECT_EQ(Secret(std::string("\0", 1)).reveal_c_str(), nullptr);
}

class SecretFile : public ::testing::Test {
 protected:
  SecretFile() {
    std::string name = (std::filesystem::temp_directory_path() / "leasehold-secret-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    folder_ = name;
  }
  ~SecretFile() override { std::filesystem::remove_all(folder_); }

  std::string Write(std::string_view content) const {
    const std::string path = folder_ / "secret";
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }

  std::filesystem::path folder_;
};

TEST_F(SecretFile, DropsOneNewline) {
  EXPECT_EQ(ReadSecretFile(Write("hunter2"))->reveal(), "hunter2");
  EXPECT_EQ(ReadSecretFile(Write("hunter2\n"))->reveal(), "hunter2");
  EXPECT_EQ(ReadSecretFile(Write("hunter2\r\n"))->reveal(), "hunter2");
  EXPECT_EQ(ReadSecretFile(Write("hunter2\n\n"))->reveal(), "hunter2\n");
}

TEST_F(SecretFile, HoldsUpTo64KiB) {
  const std::string most(64 * 1024, 's');
  EXPECT_EQ(ReadSecretFile(Write(most))->reveal(), most);
  EXPECT_EQ(ReadSecretFile(Write(most + "\n"))->reveal(), most);
  const absl::Status status = ReadSecretFile(Write(most + "s")).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("longer than 64 KiB"));
  EXPECT_FALSE(ReadSecretFile(Write(most + most)).ok());
}

TEST_F(SecretFile, NamesTheFileThatIsEmptyOrCannotBeRead) {
  const std::string path = Write("\n");
  EXPECT_EQ(ReadSecretFile(path).status(), absl::FailedPreconditionError("secret file '" + path + "' is empty"));
  const std::string absent = (folder_ / "absent").string();
  EXPECT_EQ(ReadSecretFile(absent).status(),
            absl::FailedPreconditionError("secret file '" + absent + "' cannot be read: No such file or directory"));
  EXPECT_TRUE(absl::IsFailedPrecondition(ReadSecretFile(folder_.string()).status()));
}

const std::string kKeyHex = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

TEST(RoleKey, DerivesTheDocumentedPasswords) {
  const absl::StatusOr<RoleKey> key = RoleKey::Parse(kKeyHex);
  ASSERT_TRUE(key.ok()) << key.status();
  EXPECT_EQ(key->PasswordOf("00112233aabbccdd", RoleKind::kOwner).reveal(),
            "iJaZBd6itPd-LeIDCpcYZGdaFFXIqXcVvDvh4sMysDU");
  EXPECT_EQ(key->PasswordOf("00112233aabbccdd", RoleKind::kReadOnly).reveal(),
            "9wlG7czA7ZQAnDY0By3Dk_YGWWslApSaeb2nZpJes2U");
  EXPECT_EQ(key->PasswordOf("central", RoleKind::kOwner).reveal(), "fVLVbjXMp9Ww0q1MlEVR5bIt27d20XOqtKU5oVbVvbs");
}

TEST(RoleKey, TakesANewlineAndUpperCase) {
  std::string upper = kKeyHex;
  std::ranges::transform(upper, upper.begin(),
                         [](char c) { return c >= 'a' && c <= 'f' ? static_cast<char>(c - 32) : c; });
  const std::string_view expected = "fVLVbjXMp9Ww0q1MlEVR5bIt27d20XOqtKU5oVbVvbs";
  for (const std::string& text : {kKeyHex + "\n", kKeyHex + "\r\n", upper}) {
    const absl::StatusOr<RoleKey> key = RoleKey::Parse(text);
    ASSERT_TRUE(key.ok()) << key.status();
    EXPECT_EQ(key->PasswordOf("central", RoleKind::kOwner).reveal(), expected);
  }
}

TEST(RoleKey, RefusesAnythingElseWithoutShowingIt) {
  for (const std::string& text :
       {std::string(), kKeyHex.substr(1), kKeyHex + "0", kKeyHex.substr(1) + "g", " " + kKeyHex, kKeyHex + "\n\n"}) {
    const absl::Status status = RoleKey::Parse(text).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << text;
    EXPECT_THAT(status.ToString(), Not(HasSubstr("0d0e0f")));
  }
}

TEST_F(SecretFile, ARoleKeyFileIsNamedInItsErrors) {
  EXPECT_TRUE(RoleKey::ReadFile(Write(kKeyHex + "\n")).ok());
  const std::string path = Write("12345");
  const absl::Status status = RoleKey::ReadFile(path).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr(path));
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr("12345")));
}

TEST(SigningKeys, TheFirstSignsAndAllVerify) {
  const absl::StatusOr<SigningKeys> keys =
      SigningKeys::Parse("# rotated in May\n7 " + kKeyHex + "\n\n 3\t" + std::string(64, 'a') + "  \r\n");
  ASSERT_TRUE(keys.ok()) << keys.status();
  EXPECT_EQ(keys->current(), 7u);
  EXPECT_EQ(keys->PasswordOf(7, "lh1.abc")->reveal(), "ShCI3Jr633KjVMgJBvXEj3PlOexLZTId5FnmX9lZYHI");
  EXPECT_TRUE(keys->PasswordOf(3, "lh1.abc").ok());
  EXPECT_NE(keys->PasswordOf(3, "lh1.abc")->reveal(), keys->PasswordOf(7, "lh1.abc")->reveal());
  EXPECT_NE(keys->PasswordOf(7, "lh1.abd")->reveal(), keys->PasswordOf(7, "lh1.abc")->reveal());
}

TEST(SigningKeys, AnUnknownKeyIsBadCredentials) {
  const absl::StatusOr<SigningKeys> keys = SigningKeys::Parse("7 " + kKeyHex);
  EXPECT_TRUE(absl::IsUnauthenticated(keys->PasswordOf(8, "lh1.abc").status()));
}

TEST(SigningKeys, NameTheLineAtFaultAndNotItsContent) {
  const struct {
    std::string text;
    std::string_view expected;
  } cases[] = {
      {"", "there is no key"},
      {"# nothing\n\n", "there is no key"},
      {"1 " + kKeyHex + "\n2 " + kKeyHex.substr(2), "line 2"},
      {kKeyHex, "line 1"},
      {"one " + kKeyHex, "line 1"},
      {"-1 " + kKeyHex, "line 1"},
      {"4294967296 " + kKeyHex, "line 1"},
      {"1 " + kKeyHex + " x", "line 1"},
      {"1 " + kKeyHex + "\n1 " + std::string(64, 'b'), "line 2 repeats key id 1"},
  };
  for (const auto& c : cases) {
    const absl::Status status = SigningKeys::Parse(c.text).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << c.text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::string(c.expected)));
    EXPECT_THAT(status.ToString(), Not(HasSubstr("0d0e0f")));
  }
}

}  // namespace
}  // namespace leasehold

// A backup's folder that fills up: said so, tried again, and no part of an attempt that failed is left.
#include <gmock/gmock.h>
#include <sys/mount.h>

#include <cstring>
#include <filesystem>

#include "services/provisioner/reconcile/refill_fixture.h"

namespace leasehold::provisioner {
namespace {

using ::testing::HasSubstr;

namespace fs = std::filesystem;

class SmallFolder {
 public:
  ~SmallFolder() {
    if (mounted_) umount2(path().c_str(), MNT_DETACH);
  }
  const std::string& path() const { return folder_.path(); }
  // The errno of mount(2), 0 if it worked.
  int Resize(const char* options) {
    if (mount("tmpfs", path().c_str(), "tmpfs", mounted_ ? MS_REMOUNT : 0, options) != 0) return errno;
    mounted_ = true;
    return 0;
  }

 private:
  const localserver::TemporaryDirectory folder_;
  bool mounted_ = false;
};

TEST_F(RefillTest, ABackupWaitsForRoomInItsFolder) {
  SmallFolder folder;
  if (const int error = folder.Resize("size=64k,mode=0700"); error != 0) {
    GTEST_SKIP() << "this process may not mount a small file system: " << strerror(error);
  }
  Make("acme", 5);
  {
    postgres::Connection owner = As("acme", RoleKind::kOwner);
    const auto large = owner.ExecAlone(
        "INSERT INTO note (text) SELECT encode(sha256(n::text::bytea), 'base64') FROM generate_series(1, 20000) n");
    ASSERT_TRUE(large.ok()) << large.status();
  }
  NewKeeper(folder.path());
  backups_.Add("acme.2", "acme");
  ASSERT_EQ(keeper_->Sync(), absl::OkStatus());
  ASSERT_TRUE(*keeper_->WorkOne());
  ASSERT_EQ(keeper_->Sync(), absl::OkStatus());
  EXPECT_EQ(reported_["acme.2"].state, v1::BACKUP_STATE_FAILED);
  EXPECT_THAT(reported_["acme.2"].message, HasSubstr("No space left on device"));
  for (const auto& entry : fs::recursive_directory_iterator(folder.path())) {
    EXPECT_TRUE(entry.is_directory() && !entry.path().filename().string().starts_with(".")) << entry.path();
  }

  ASSERT_EQ(folder.Resize("size=16m,mode=0700"), 0);
  clock_.Advance(absl::Seconds(10));
  ASSERT_TRUE(*keeper_->WorkOne());
  ASSERT_EQ(keeper_->Sync(), absl::OkStatus());
  EXPECT_EQ(reported_["acme.2"].state, v1::BACKUP_STATE_COMPLETE) << reported_["acme.2"].message;
  EXPECT_TRUE(fs::exists(fs::path(folder.path()) / "acme.2" / "identity" / "manifest.json"));
}

}  // namespace
}  // namespace leasehold::provisioner

// A server whose disk fills up. Tests only.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <format>
#include <string>

#include "services/provisioner/testing/test_instance.h"

namespace leasehold::provisioner {

// The instance's databases on a file system of their own, so that the write-ahead log still has room.
class SmallDisk {
 public:
  explicit SmallDisk(const TestInstance& test) : base_(test.data_dir() + "/base") {}
  ~SmallDisk() {
    if (mounted_) umount2(base_.c_str(), MNT_DETACH);
  }

  // The errno of mount(2), 0 if it worked. The server must not run.
  int Mount(const std::string& size) {
    const std::string copy = base_ + ".copy";
    Run(std::format("cp -a '{}' '{}'", base_, copy));
    if (mount("tmpfs", base_.c_str(), "tmpfs", 0, std::format("size={},mode=0700", size).c_str()) != 0) return errno;
    mounted_ = true;
    Run(std::format("cp -a '{}'/. '{}'/ && rm -rf '{}'", copy, base_, copy));
    return 0;
  }
  // Takes up all but `left` bytes.
  void Fill(size_t left) {
    struct statvfs disk{};
    ASSERT_EQ(statvfs(base_.c_str(), &disk), 0) << strerror(errno);
    const int fd = open(Ballast().c_str(), O_WRONLY | O_CREAT, 0600);
    ASSERT_GE(fd, 0) << strerror(errno);
    EXPECT_EQ(posix_fallocate(fd, 0, static_cast<off_t>(disk.f_bavail * disk.f_frsize - left)), 0);
    close(fd);
  }
  void Clear() { ASSERT_EQ(unlink(Ballast().c_str()), 0) << strerror(errno); }

 private:
  std::string Ballast() const { return base_ + "/ballast"; }
  static void Run(const std::string& command) { ASSERT_EQ(std::system(command.c_str()), 0) << command; }

  const std::string base_;
  bool mounted_ = false;
};

}  // namespace leasehold::provisioner

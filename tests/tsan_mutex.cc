// Tells ThreadSanitizer of absl::Mutex. Debian's Abseil was built without it, so what its locks put in order would look
// like races, in our code and in gRPC's. Linked into every program of the tsan preset, where these definitions stand
// before the library's own, which they call.
//
// Nothing is looked at between a `pre` and its `post`: there the library runs the conditions of whoever waits.
#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#include <cstdio>
#include <cstdlib>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"

namespace {

template <typename Function>
Function* Library(const char* symbol) {
  void* const found = dlsym(RTLD_NEXT, symbol);
  if (found == nullptr) {
    std::fprintf(stderr, "tests/tsan_mutex.cc: this Abseil has no %s\n", symbol);
    std::abort();
  }
  return reinterpret_cast<Function*>(found);
}

constexpr unsigned kRead = __tsan_mutex_read_lock;

}  // namespace

namespace absl {

using synchronization_internal::KernelTimeout;

void Mutex::Lock() {
  static auto* const lock = Library<void(Mutex*)>("_ZN4absl7debian75Mutex4LockEv");
  __tsan_mutex_pre_lock(this, 0);
  lock(this);
  __tsan_mutex_post_lock(this, 0, 0);
}

void Mutex::Unlock() {
  static auto* const unlock = Library<void(Mutex*)>("_ZN4absl7debian75Mutex6UnlockEv");
  __tsan_mutex_pre_unlock(this, 0);
  unlock(this);
  __tsan_mutex_post_unlock(this, 0);
}

bool Mutex::TryLock() {
  static auto* const try_lock = Library<bool(Mutex*)>("_ZN4absl7debian75Mutex7TryLockEv");
  __tsan_mutex_pre_lock(this, __tsan_mutex_try_lock);
  const bool locked = try_lock(this);
  __tsan_mutex_post_lock(this, __tsan_mutex_try_lock | (locked ? 0 : __tsan_mutex_try_lock_failed), 0);
  return locked;
}

void Mutex::ReaderLock() {
  static auto* const lock = Library<void(Mutex*)>("_ZN4absl7debian75Mutex10ReaderLockEv");
  __tsan_mutex_pre_lock(this, kRead);
  lock(this);
  __tsan_mutex_post_lock(this, kRead, 0);
}

void Mutex::ReaderUnlock() {
  static auto* const unlock = Library<void(Mutex*)>("_ZN4absl7debian75Mutex12ReaderUnlockEv");
  __tsan_mutex_pre_unlock(this, kRead);
  unlock(this);
  __tsan_mutex_post_unlock(this, kRead);
}

// While it waits others have the lock.
bool Mutex::AwaitCommon(const Condition& cond, KernelTimeout t) {
  static auto* const await = Library<bool(Mutex*, const Condition&, KernelTimeout)>(
      "_ZN4absl7debian75Mutex11AwaitCommonERKNS0_9ConditionENS0_24synchronization_internal13KernelTimeoutE");
  __tsan_mutex_pre_unlock(this, 0);
  __tsan_mutex_post_unlock(this, 0);
  __tsan_mutex_pre_lock(this, 0);
  const bool came = await(this, cond, t);
  __tsan_mutex_post_lock(this, 0, 0);
  return came;
}

bool Mutex::LockWhenCommon(const Condition& cond, KernelTimeout t, bool write) {
  static auto* const lock = Library<bool(Mutex*, const Condition&, KernelTimeout, bool)>(
      "_ZN4absl7debian75Mutex14LockWhenCommonERKNS0_9ConditionENS0_24synchronization_internal13KernelTimeoutEb");
  __tsan_mutex_pre_lock(this, write ? 0 : kRead);
  const bool came = lock(this, cond, t, write);
  __tsan_mutex_post_lock(this, write ? 0 : kRead, 0);
  return came;
}

bool CondVar::WaitCommon(Mutex* mutex, KernelTimeout t) {
  static auto* const wait = Library<bool(CondVar*, Mutex*, KernelTimeout)>(
      "_ZN4absl7debian77CondVar10WaitCommonEPNS0_5MutexENS0_24synchronization_internal13KernelTimeoutE");
  __tsan_mutex_pre_unlock(mutex, 0);
  __tsan_mutex_post_unlock(mutex, 0);
  __tsan_mutex_pre_lock(mutex, 0);
  const bool came = wait(this, mutex, t);
  __tsan_mutex_post_lock(mutex, 0, 0);
  return came;
}

void Notification::Notify() {
  static auto* const notify = Library<void(Notification*)>("_ZN4absl7debian712Notification6NotifyEv");
  __tsan_release(this);
  notify(this);
}

void Notification::WaitForNotification() const {
  static auto* const wait =
      Library<void(const Notification*)>("_ZNK4absl7debian712Notification19WaitForNotificationEv");
  wait(this);
  __tsan_acquire(const_cast<Notification*>(this));
}

bool Notification::WaitForNotificationWithTimeout(Duration timeout) const {
  static auto* const wait = Library<bool(const Notification*, Duration)>(
      "_ZNK4absl7debian712Notification30WaitForNotificationWithTimeoutENS0_8DurationE");
  const bool came = wait(this, timeout);
  if (came) __tsan_acquire(const_cast<Notification*>(this));
  return came;
}

}  // namespace absl

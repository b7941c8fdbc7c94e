// Coroutines on a Loop: what happens once a connection, in steps that wait for the peer, written one below the other.
//
// Why not asio's: docs/adr/0007-relay-loop.md.
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

namespace leasehold::gateway {

template <typename T>
class Task;

namespace task_internal {

class PromiseBase {
 public:
  std::suspend_always initial_suspend() noexcept { return {}; }
  auto final_suspend() noexcept {
    struct Return {
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<>) noexcept { return to; }
      void await_resume() noexcept {}
      std::coroutine_handle<> to;
    };
    return Return{awaiting_ ? awaiting_ : std::noop_coroutine()};
  }
  void unhandled_exception() { thrown_ = std::current_exception(); }

 protected:
  void Rethrow() {
    if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
  }

 private:
  template <typename T>
  friend class leasehold::gateway::Task;
  std::coroutine_handle<> awaiting_;
  std::exception_ptr thrown_;
};

template <typename T>
class Promise : public PromiseBase {
 public:
  Task<T> get_return_object();
  template <typename U>
  void return_value(U&& value) {
    value_.emplace(std::forward<U>(value));
  }
  T Take() {
    Rethrow();
    return *std::move(value_);
  }

 private:
  std::optional<T> value_;
};

template <>
class Promise<void> : public PromiseBase {
 public:
  Task<void> get_return_object();
  void return_void() {}
  void Take() { Rethrow(); }
};

}  // namespace task_internal

// Begins when it is awaited, or by Start(), and ends with its awaiter: whoever drops a Task drops all that it waits
// for. That is how one is cancelled; not from inside it. What it throws, its awaiter meets.
template <typename T>
class [[nodiscard]] Task {
 public:
  using promise_type = task_internal::Promise<T>;

  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) noexcept {
    handle_.promise().awaiting_ = awaiting;
    return handle_;
  }
  T await_resume() { return handle_.promise().Take(); }

  // For one that nobody awaits.
  void Start() { handle_.resume(); }
  bool done() const { return handle_.done(); }
  T Take() { return handle_.promise().Take(); }  // once done

 private:
  std::coroutine_handle<promise_type> handle_;
};

namespace task_internal {

template <typename T>
Task<T> Promise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<Promise>::from_promise(*this));
}

inline Task<void> Promise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<Promise>::from_promise(*this));
}

}  // namespace task_internal

// What one coroutine waits for, by `co_await signal`.
class Signal {
 public:
  Signal() = default;
  Signal(const Signal&) = delete;
  Signal& operator=(const Signal&) = delete;

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiting) noexcept { waiting_ = waiting; }
  void await_resume() const noexcept {}

  // Returns when who waits has gone on to its next wait, or its end. If nobody does, nothing happens.
  void Notify() {
    if (waiting_) std::exchange(waiting_, nullptr).resume();
  }
  // Before who waits is dropped.
  void Forget() { waiting_ = nullptr; }

 private:
  std::coroutine_handle<> waiting_;
};

}  // namespace leasehold::gateway

// Bytes between a socket and a decoder while a connection logs in: of fixed size.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

namespace leasehold::gateway {

// One loop. Free() and Filled() put bytes in at the end, Consume() takes them from the front.
class ReadBuffer {
 public:
  // More than any message of a log-in.
  static constexpr size_t kCapacity = 16 * 1024;

  std::string_view Data() const { return {bytes_.get() + begin_, end_ - begin_}; }
  size_t size() const { return end_ - begin_; }
  bool full() const { return size() == kCapacity; }

  // Never empty unless full().
  std::span<char> Free() {
    if (begin_ > 0) {
      std::memmove(bytes_.get(), bytes_.get() + begin_, size());
      end_ -= begin_;
      begin_ = 0;
    }
    return {bytes_.get() + end_, kCapacity - end_};
  }
  void Filled(size_t count) { end_ += count; }

  void Consume(size_t count) {
    begin_ += count;
    if (begin_ == end_) begin_ = end_ = 0;
  }

 private:
  std::unique_ptr<char[]> bytes_ = std::make_unique_for_overwrite<char[]>(kCapacity);
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace leasehold::gateway

// A fenced write: the resource checks the token of each write, so that a holder that was paused
// while its lock went to another cannot damage anything.
//
//   fenced_write [--endpoints host:port,...] [--lock NAME]
//
// Plays both parts: a first holder releases the lock without noticing that it goes on writing (what
// a pause or a bug does), a second one takes over; the late write of the first is refused.
#include <cstdio>
#include <string>
#include <utility>

#include "client/blocking_client.h"
#include "client/examples/arguments.h"
#include "client/fence_gate.h"

namespace {

// Something worth protecting. It knows nothing of locks and servers; it only compares numbers.
class Storage {
 public:
  bool Write(const std::string& text, lockd::FencingToken token) {
    if (!gate_.Admit(token)) {
      std::printf("write of \"%s\" with token %llu: refused, %llu has been here\n", text.c_str(),
                  static_cast<unsigned long long>(token.value()),
                  static_cast<unsigned long long>(gate_.largest_token().value()));
      return false;
    }
    text_ = text;
    std::printf("write of \"%s\" with token %llu: done\n", text.c_str(),
                static_cast<unsigned long long>(token.value()));
    return true;
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  lockd::FenceGate gate_;
  std::string text_;
};

int Fail(const std::string& what) {
  std::fprintf(stderr, "fenced_write: %s\n", what.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  const examples::Arguments arguments(argc, argv);
  lockd::BlockingClient client({.endpoints = arguments.endpoints});
  absl::StatusOr<lockd::BlockingSession> one = client.OpenSession({.owner_id = "writer-1"});
  absl::StatusOr<lockd::BlockingSession> two = client.OpenSession({.owner_id = "writer-2"});
  if (!one.ok()) return Fail(std::string(one.status().message()));
  if (!two.ok()) return Fail(std::string(two.status().message()));

  Storage storage;
  lockd::AcquireResult first = one->Acquire(arguments.lock, {.wait = arguments.wait});
  if (!first.granted()) return Fail(first.ToStatus().ToString());
  const lockd::FencingToken first_token = first.lock.token();
  if (!storage.Write("by the first", first_token)) return Fail("the first write was refused");
  one->Release(std::move(first.lock));

  lockd::AcquireResult second = two->Acquire(arguments.lock, {.wait = arguments.wait});
  if (!second.granted()) return Fail(second.ToStatus().ToString());
  if (!storage.Write("by the second", second.lock.token())) {
    return Fail("the second write was refused");
  }
  if (storage.Write("too late", first_token)) return Fail("a late write got through");
  std::printf("the storage holds \"%s\"\n", storage.text().c_str());
  two->Release(std::move(second.lock));
  return 0;
}

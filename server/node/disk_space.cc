#include "server/node/disk_space.h"

#include "absl/strings/str_cat.h"

namespace lockd::node {
namespace {

std::string Shown(uint64_t bytes) {
  return absl::StrCat(bytes >> 20, " MiB");
}

}  // namespace

void DiskSpace::OnFreeBytes(uint64_t free_bytes, Outbox* outbox) {
  free_bytes_ = free_bytes;
  const uint64_t enough = is_low_ ? reserve_bytes_ + reserve_bytes_ / 4 : reserve_bytes_;
  const bool was_low = is_low_;
  is_low_ = free_bytes < enough;
  if (is_low_ == was_low) return;
  if (is_low_) {
    outbox->Warn(absl::StrCat("disk space is low: ", Shown(free_bytes), " free, the reserve is ",
                              Shown(reserve_bytes_),
                              "; while this node leads it refuses new sessions and acquires"));
  } else {
    outbox->Note(absl::StrCat("disk space is back: ", Shown(free_bytes), " free"));
  }
}

std::string DiskSpace::Refusal() const {
  return absl::StrCat("the leader's disk has ", Shown(free_bytes_.value_or(0)),
                      " free, less than its reserve of ", Shown(reserve_bytes_),
                      ": no new sessions and acquires until space is back; releases and "
                      "keep-alives go on");
}

}  // namespace lockd::node

#include "server/state/lock_table.h"

#include <cstring>

#include "protocol/base/check.h"
#include "server/state/snapshot_writer.h"

namespace lockd::state {
namespace {

// ---- Canonical bytes

Digest HoldDigest(const LockRecord& lock) {
  const Hold& hold = lock.hold;
  return Hasher(DigestTag::kHold)
      .Bytes(lock.name.view())
      .Word(hold.session)
      .Word(hold.acquire)
      .Word(hold.token)
      .Word(hold.granted_at)
      .Word(hold.granted_wall)
      .Word(hold.max_hold_ms)
      .Word(static_cast<uint64_t>(hold.mode))
      .Finish();
}

Digest WaiterDigest(const LockRecord& lock, const WaiterRecord& waiter) {
  return Hasher(DigestTag::kWaiter)
      .Bytes(lock.name.view())
      .Word(waiter.session)
      .Word(waiter.acquire)
      .Word(waiter.position)
      .Word(waiter.deadline)
      .Word(waiter.max_hold_ms)
      .Word(static_cast<uint64_t>(waiter.mode))
      .Finish();
}

}  // namespace

// ---- LockName

LockName::~LockName() {
  if (length_ > kInlineBytes) delete[] long_name();
}

void LockName::Set(absl::string_view name) {
  LOCKD_CHECK(length_ == 0 && !name.empty() && name.size() <= kLockNameBytesMax, "a name of ",
              name.size(), " bytes");
  length_ = static_cast<uint16_t>(name.size());
  if (length_ <= kInlineBytes) {
    std::memcpy(bytes_, name.data(), name.size());
    return;
  }
  char* copy = new char[name.size()];
  std::memcpy(copy, name.data(), name.size());
  std::memcpy(bytes_, &copy, sizeof(copy));
}

absl::string_view LockName::view() const {
  return {length_ <= kInlineBytes ? bytes_ : long_name(), length_};
}

char* LockName::long_name() const {
  char* name;
  std::memcpy(&name, bytes_, sizeof(name));
  return name;
}

// ---- LockTable

uint32_t LockTable::Create(absl::string_view name) {
  const uint32_t lock = locks_.Allocate();
  locks_[lock].name.Set(name);
  names_.Insert(name, lock);
  return lock;
}

void LockTable::SetHold(uint32_t lock, const Hold& hold) {
  LockRecord& record = locks_[lock];
  LOCKD_CHECK(record.hold.token.is_zero() && !hold.token.is_zero(), "a lock with two owners");
  record.hold = hold;
  digest_->Add(HoldDigest(record));
  ++held_count_;
}

void LockTable::ClearHold(uint32_t lock) {
  LockRecord& record = locks_[lock];
  LOCKD_CHECK(!record.hold.token.is_zero(), "a lock is freed that is not held");
  if (snapshot_ != nullptr) [[unlikely]]
    snapshot_->BeforeHoldEnds(lock);
  digest_->Subtract(HoldDigest(record));
  record.hold = Hold{};
  --held_count_;
}

void LockTable::Erase(uint32_t lock) {
  const LockRecord& record = locks_[lock];
  LOCKD_CHECK(record.hold.token.is_zero() && record.waiter_count == 0, "a lock in use is erased");
  names_.Erase(record.name.view());
  locks_.Free(lock);
}

uint32_t LockTable::Enqueue(uint32_t lock, const WaiterRecord& waiter) {
  LockRecord& record = locks_[lock];
  const uint32_t id = waiters_.Allocate();
  WaiterRecord& queued = waiters_[id];
  queued = waiter;
  queued.lock = lock;
  queued.previous = record.last_waiter;
  queued.next = kNoRecord;
  if (record.last_waiter == kNoRecord) {
    record.first_waiter = id;
  } else {
    LOCKD_CHECK(waiters_[record.last_waiter].position < queued.position, "a queue out of order");
    waiters_[record.last_waiter].next = id;
  }
  record.last_waiter = id;
  ++record.waiter_count;
  digest_->Add(WaiterDigest(record, queued));
  return id;
}

void LockTable::RemoveWaiter(uint32_t waiter) {
  if (snapshot_ != nullptr) [[unlikely]]
    snapshot_->BeforeWaiterGoes(waiter);
  const WaiterRecord& gone = waiters_[waiter];
  LockRecord& record = locks_[gone.lock];
  digest_->Subtract(WaiterDigest(record, gone));
  (gone.previous == kNoRecord ? record.first_waiter : waiters_[gone.previous].next) = gone.next;
  (gone.next == kNoRecord ? record.last_waiter : waiters_[gone.next].previous) = gone.previous;
  --record.waiter_count;
  waiters_.Free(waiter);
}

void LockTable::AddTo(DigestSum* digest) const {
  for (uint32_t lock = 0; lock < locks_.end_id(); ++lock) {
    if (!locks_.IsLive(lock)) continue;
    const LockRecord& record = locks_[lock];
    digest->Add(HoldDigest(record));
    for (uint32_t id = record.first_waiter; id != kNoRecord; id = waiters_[id].next) {
      digest->Add(WaiterDigest(record, waiters_[id]));
    }
  }
}

}  // namespace lockd::state

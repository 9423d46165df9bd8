#include "server/node/reads.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "protocol/frame.h"
#include "server/node/lock_wire.h"

namespace lockd::node {
namespace {

// Pages are gathered in pieces, so that one piece more always fits into the frame: a lock's record
// is at most its name, its owner id and some numbers.
constexpr size_t kPiece = 16;
constexpr size_t kRecordBytesMax = state::kLockNameBytesMax + state::kOwnerIdBytesMax + 128;
constexpr size_t kPageBytes = kClientFrameBytesMax - kPiece * kRecordBytesMax - 1024;
constexpr size_t kPageCountDefault = 100;
constexpr size_t kPageCountMax = 1'000;
// A rare prefix may need many steps through the table for few records: a page may then be short,
// even empty, and its cursor leads on.
constexpr int kPiecesMax = 64;
static_assert(kPiece * kRecordBytesMax + 1024 < kClientFrameBytesMax);

size_t PageCount(uint32_t asked) {
  return asked == 0 ? kPageCountDefault : std::min<size_t>(asked, kPageCountMax);
}

// What is wrong with it; empty: nothing.
std::string Fault(const Reads::Query& query) {
  if (const auto* get = std::get_if<pb::GetLockRequest>(&query)) {
    const size_t bytes = get->name().size();
    if (bytes == 0 || bytes > state::kLockNameBytesMax) {
      return absl::StrCat("name has ", bytes, " bytes, allowed are 1..", state::kLockNameBytesMax);
    }
  } else if (const auto* list = std::get_if<pb::ListLocksRequest>(&query)) {
    const size_t bytes = list->prefix().size();
    if (bytes > state::kLockNameBytesMax) {
      return absl::StrCat("prefix has ", bytes, " bytes, allowed are 0..",
                          state::kLockNameBytesMax);
    }
  }
  return {};
}

bool IsStale(const Reads::Query& query) {
  return std::visit([](const auto& request) { return request.stale(); }, query);
}

}  // namespace

void Reads::OnQuery(const RequestRef& request, Query query) {
  Read read{.request = request, .query = std::move(query), .is_confirmed = false, .index = {}};
  if (const std::string fault = Fault(read.query); !fault.empty()) {
    connections_.ReplyError(request, pb::ERROR_CODE_INVALID_ARGUMENT, fault);
    return;
  }
  if (IsStale(read.query)) {
    stale_.push_back(std::move(read));
    return;
  }
  if (!context_.is_serving) {
    connections_.ReplyNotServing(request);
    return;
  }
  if (waiting_.size() >= context_.options.pending_reads_max) {
    connections_.ReplyError(request, pb::ERROR_CODE_RESOURCE_EXHAUSTED, "too many reads wait",
                            context_.options.retry_after_ms);
    return;
  }
  waiting_.emplace(++last_context_, std::move(read));
  context_.raft->RequestRead(last_context_);
}

void Reads::OnReleased(const raft::ReleasedRead& released) {
  const auto place = waiting_.find(released.context);
  if (place == waiting_.end()) return;
  Read& read = place->second;
  if (!released.confirmed) {
    connections_.ReplyNotServing(read.request);
    waiting_.erase(place);
    return;
  }
  read.is_confirmed = true;
  read.index = released.index;
  if (read.index <= context_.raft->applied_index()) {
    Answer(read, 0);
    waiting_.erase(place);
  } else {
    confirmed_.push_back(released.context);
  }
}

void Reads::OnApplied() {
  if (confirmed_.empty()) return;
  const raft::Index applied = context_.raft->applied_index();
  std::erase_if(confirmed_, [&](uint64_t context) {
    const auto place = waiting_.find(context);
    if (place == waiting_.end()) return true;
    if (place->second.index > applied) return false;
    Answer(place->second, 0);
    waiting_.erase(place);
    return true;
  });
}

void Reads::AnswerStale(std::optional<int64_t> age_ms) {
  for (const Read& read : std::exchange(stale_, {})) {
    if (context_.is_loading) {
      connections_.ReplyNotServing(read.request);
    } else {
      Answer(read, age_ms.value_or(-1));
    }
  }
}

void Reads::FailAll() {
  for (const auto& [context, read] : waiting_) connections_.ReplyNotServing(read.request);
  waiting_.clear();
  confirmed_.clear();
}

void Reads::Answer(const Read& read, int64_t age_ms) {
  if (const auto* get = std::get_if<pb::GetLockRequest>(&read.query)) {
    AnswerGetLock(read.request, *get, age_ms);
  } else if (const auto* list = std::get_if<pb::ListLocksRequest>(&read.query)) {
    AnswerListLocks(read.request, *list, age_ms);
  } else {
    AnswerListSessions(read.request, std::get<pb::ListSessionsRequest>(read.query), age_ms);
  }
}

void Reads::AnswerGetLock(const RequestRef& request, const pb::GetLockRequest& query,
                          int64_t age_ms) {
  pb::GetLockReply reply;
  FillStamp(context_, reply.mutable_stamp());
  reply.set_age_ms(age_ms);
  FillLock(context_.database->GetLock(query.name()), reply.mutable_lock());
  connections_.Reply(request, reply);
}

void Reads::AnswerListLocks(const RequestRef& request, const pb::ListLocksRequest& query,
                            int64_t age_ms) {
  pb::ListLocksReply reply;
  FillStamp(context_, reply.mutable_stamp());
  reply.set_age_ms(age_ms);
  const size_t count_max = PageCount(query.count_max());
  uint64_t cursor = query.cursor();
  size_t count = 0;
  int pieces = 0;
  do {
    std::vector<state::LockView> piece;
    cursor = context_.database->ListLocks(query.prefix(), cursor,
                                          std::min(kPiece, count_max - count), &piece);
    for (const state::LockView& view : piece) FillLock(view, reply.add_locks());
    count += piece.size();
  } while (cursor != 0 && count < count_max && ++pieces < kPiecesMax &&
           reply.ByteSizeLong() < kPageBytes);
  reply.set_next_cursor(cursor);
  connections_.Reply(request, reply);
}

void Reads::AnswerListSessions(const RequestRef& request, const pb::ListSessionsRequest& query,
                               int64_t age_ms) {
  pb::ListSessionsReply reply;
  FillStamp(context_, reply.mutable_stamp());
  reply.set_age_ms(age_ms);
  const size_t count_max = PageCount(query.count_max());
  uint64_t cursor = query.cursor();
  size_t count = 0;
  int pieces = 0;
  do {
    std::vector<state::SessionView> piece;
    cursor = context_.database->ListSessions(cursor, std::min(kPiece, count_max - count), &piece);
    for (const state::SessionView& view : piece) FillSession(view, reply.add_sessions());
    count += piece.size();
  } while (cursor != 0 && count < count_max && ++pieces < kPiecesMax &&
           reply.ByteSizeLong() < kPageBytes);
  reply.set_next_cursor(cursor);
  connections_.Reply(request, reply);
}

}  // namespace lockd::node

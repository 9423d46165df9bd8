#include "server/state/session_table.h"

#include <variant>

#include "protocol/base/check.h"
#include "server/state/snapshot_writer.h"

namespace lockd::state {
namespace {

Nonce ToNonce(absl::string_view bytes) {
  Nonce nonce{};
  LOCKD_CHECK(bytes.size() == nonce.size(), "a nonce of ", bytes.size(), " bytes");
  std::copy(bytes.begin(), bytes.end(), nonce.begin());
  return nonce;
}

// ---- Canonical bytes

Digest SessionDigest(const Session& s) {
  return Hasher(DigestTag::kSession)
      .Word(s.id)
      .Word(s.ttl_ms)
      .Word(s.grace_ms)
      .Bytes(absl::string_view(s.nonce.data(), s.nonce.size()))
      .Bytes(s.owner_id)
      .Finish();
}

Digest LeaseDigest(const Session& s) {
  return Hasher(DigestTag::kLease)
      .Word(s.id)
      .Word(s.epoch)
      .Word(s.deadline)
      .Word(s.grace_deadline)
      .Word(s.ended ? static_cast<uint64_t>(s.end_reason) | uint64_t{s.settled} << 8 : 0)
      .Word(s.kept_until)
      .Finish();
}

Digest AcknowledgedThroughDigest(const Session& s) {
  return Hasher(DigestTag::kAcknowledgedThrough).Word(s.id).Word(s.acknowledged_through).Finish();
}

void HashInto(Hasher& hasher, const AcquireResult& r) {
  hasher
      .Word(static_cast<uint64_t>(r.kind) | static_cast<uint64_t>(r.limit) << 8 |
            static_cast<uint64_t>(r.grant.mode) << 16)
      .Word(r.grant.token)
      .Word(r.grant.fence_floor)
      .Word(r.grant.granted_at)
      .Word(r.grant.hold_deadline)
      .Word(r.waiters_before);
}
void HashInto(Hasher& hasher, const ReleaseResult& r) {
  hasher.Word(static_cast<uint64_t>(r.outcome));
}
void HashInto(Hasher& hasher, const CancelResult& r) {
  hasher.Word(static_cast<uint64_t>(r.outcome));
  HashInto(hasher, r.acquire);
}
void HashInto(Hasher& hasher, const ReconcileResult& r) {
  hasher.Word(r.cancelled).Word(r.released);
}

Digest ReplyDigest(const Session& s, Sequence sequence, const ReplyValue& reply) {
  Hasher hasher(DigestTag::kReply);
  hasher.Word(s.id).Word(sequence).Word(uint64_t{reply.index()});
  std::visit([&hasher](const auto& r) { HashInto(hasher, r); }, reply);
  return hasher.Finish();
}

Digest OutcomeDigest(const Session& s, Sequence acquire, const AcquireResult& outcome) {
  Hasher hasher(DigestTag::kOutcome);
  hasher.Word(s.id).Word(acquire);
  HashInto(hasher, outcome);
  return hasher.Finish();
}

}  // namespace

uint32_t SessionTable::Find(SessionId id) const {
  const uint32_t* slot = by_id_.Find(id);
  return slot == nullptr ? kNoRecord : *slot;
}

uint32_t SessionTable::FindByNonce(absl::string_view nonce) const {
  const uint32_t* slot = by_nonce_.Find(ToNonce(nonce));
  return slot == nullptr ? kNoRecord : *slot;
}

uint32_t SessionTable::Open(SessionId id, const OpenSession& command, ClusterTime deadline) {
  Session s;
  s.id = id;
  s.nonce = ToNonce(command.nonce);
  s.owner_id = command.owner_id;
  s.ttl_ms = command.ttl_ms;
  s.grace_ms = command.grace_ms;
  s.epoch = ConnectionEpoch(1);
  s.deadline = deadline;
  return Insert(std::move(s));
}

uint32_t SessionTable::Insert(Session session) {
  const uint32_t slot = sessions_.Allocate();
  Session& s = sessions_[slot];
  s = std::move(session);
  by_id_.Insert(s.id, slot);
  if (s.ended) {
    ++kept_count_;
  } else if (const uint32_t* other = by_nonce_.Find(s.nonce);
             other == nullptr || sessions_[*other].id < s.id) {
    // A dead session that nobody cleaned up yet may have had this nonce; it is the newest one's.
    by_nonce_.Insert(s.nonce, slot);
  }
  digest_->Add(SessionDigest(s));
  digest_->Add(LeaseDigest(s));
  digest_->Add(AcknowledgedThroughDigest(s));
  return slot;
}

template <typename Change>
void SessionTable::ChangeLease(uint32_t slot, Change change) {
  BeforeSessionChanges(slot);
  Session& s = sessions_[slot];
  digest_->Subtract(LeaseDigest(s));
  change(s);
  digest_->Add(LeaseDigest(s));
}

void SessionTable::Renew(uint32_t slot, ClusterTime deadline) {
  ChangeLease(slot, [deadline](Session& s) { s.deadline = deadline; });
}

void SessionTable::Attach(uint32_t slot, ClusterTime deadline) {
  ChangeLease(slot, [deadline](Session& s) {
    s.deadline = deadline;
    s.grace_deadline = kNeverCluster;
    ++s.epoch;
  });
}

void SessionTable::ArmGrace(uint32_t slot, ClusterTime grace_deadline) {
  ChangeLease(slot, [grace_deadline](Session& s) { s.grace_deadline = grace_deadline; });
}

void SessionTable::End(uint32_t slot, SessionEndReason reason, ClusterTime deadline,
                       ClusterTime kept_until) {
  LOCKD_CHECK(!sessions_[slot].ended, "session ", sessions_[slot].id, " ends twice");
  ChangeLease(slot, [&](Session& s) {
    s.ended = true;
    s.end_reason = reason;
    s.deadline = deadline;
    s.grace_deadline = kNeverCluster;
    s.kept_until = kept_until;
  });
  ++kept_count_;
  const Session& s = sessions_[slot];
  if (FindByNonce(absl::string_view(s.nonce.data(), s.nonce.size())) == slot) {
    by_nonce_.Erase(s.nonce);
  }
}

void SessionTable::PutOffEnd(uint32_t slot, ClusterTime deadline) {
  ChangeLease(slot, [deadline](Session& s) {
    s.end_reason = SessionEndReason::kRefounded;
    s.deadline = deadline;
  });
}

void SessionTable::Settle(uint32_t slot) {
  const Session& s = sessions_[slot];
  LOCKD_CHECK(s.ended && s.acquires.empty(), "session ", s.id, " is settled too early");
  ChangeLease(slot, [](Session& session) { session.settled = true; });
}

void SessionTable::Forget(uint32_t slot) {
  Session& s = sessions_[slot];
  LOCKD_CHECK(s.ended && s.acquires.empty(), "session ", s.id, " is forgotten too early");
  BeforeSessionChanges(slot);
  s.replies.DropThrough(Sequence(~uint64_t{0}), [&](const Reply& r) {
    BeforeReplyGoes(slot, r);
    digest_->Subtract(ReplyDigest(s, r.sequence, r.value));
  });
  for (const auto& [acquire, outcome] : s.outcomes) {
    BeforeOutcomeGoes(slot, acquire, outcome);
    digest_->Subtract(OutcomeDigest(s, acquire, outcome.result));
  }
  outcome_count_ -= s.outcomes.size();
  digest_->Subtract(SessionDigest(s));
  digest_->Subtract(LeaseDigest(s));
  digest_->Subtract(AcknowledgedThroughDigest(s));
  by_id_.Erase(s.id);
  --kept_count_;
  sessions_.Free(slot);
}

void SessionTable::AcknowledgeThrough(uint32_t slot, Sequence through) {
  Session& s = sessions_[slot];
  if (through <= s.acknowledged_through) return;
  BeforeSessionChanges(slot);
  digest_->Subtract(AcknowledgedThroughDigest(s));
  s.acknowledged_through = through;
  digest_->Add(AcknowledgedThroughDigest(s));
  s.replies.DropThrough(through, [&](const Reply& r) {
    BeforeReplyGoes(slot, r);
    digest_->Subtract(ReplyDigest(s, r.sequence, r.value));
  });
}

void SessionTable::AcknowledgeOutcomes(uint32_t slot, const std::vector<Sequence>& acquires) {
  Session& s = sessions_[slot];
  for (const Sequence acquire : acquires) {
    const auto found = s.outcomes.find(acquire);
    if (found == s.outcomes.end()) continue;
    BeforeOutcomeGoes(slot, acquire, found->second);
    digest_->Subtract(OutcomeDigest(s, acquire, found->second.result));
    s.outcomes.erase(found);
    --outcome_count_;
  }
}

void SessionTable::AddReply(uint32_t slot, Sequence sequence, const ReplyValue& reply) {
  Session& s = sessions_[slot];
  LOCKD_CHECK(sequence > s.acknowledged_through, "a reply at or below X");
  s.replies.Insert(sequence, reply, era_);
  digest_->Add(ReplyDigest(s, sequence, reply));
}

void SessionTable::AddOutcome(uint32_t slot, Sequence acquire, const AcquireResult& outcome) {
  Session& s = sessions_[slot];
  const Reply* reply = s.replies.AtOrAfter(acquire);
  if (reply != nullptr && reply->sequence == acquire) {
    BeforeReplyGoes(slot, *reply);
    digest_->Subtract(ReplyDigest(s, acquire, reply->value));
    s.replies.Replace(acquire, outcome, era_);
    digest_->Add(ReplyDigest(s, acquire, outcome));
  }
  InsertOutcome(slot, acquire, outcome);
}

void SessionTable::InsertOutcome(uint32_t slot, Sequence acquire, const AcquireResult& outcome) {
  Session& s = sessions_[slot];
  const bool inserted = s.outcomes.emplace(acquire, KeptOutcome{outcome, era_}).second;
  LOCKD_CHECK(inserted, "acquire ", acquire, " of session ", s.id, " has two outcomes");
  digest_->Add(OutcomeDigest(s, acquire, outcome));
  ++outcome_count_;
}

void SessionTable::AddAcquire(uint32_t slot, Sequence acquire, AcquireRef ref) {
  Session& s = sessions_[slot];
  const bool inserted = s.acquires.emplace(acquire, ref).second;
  LOCKD_CHECK(inserted, "acquire ", acquire, " of session ", s.id, " lives twice");
  if (!ref.is_waiting()) ++s.holds;
}

void SessionTable::RemoveAcquire(uint32_t slot, Sequence acquire) {
  Session& s = sessions_[slot];
  const auto found = s.acquires.find(acquire);
  LOCKD_CHECK(found != s.acquires.end(), "acquire ", acquire, " is not one of session ", s.id);
  if (!found->second.is_waiting()) --s.holds;
  s.acquires.erase(found);
}

void SessionTable::AddTo(DigestSum* digest) const {
  for (uint32_t slot = 0; slot < sessions_.end_id(); ++slot) {
    if (!sessions_.IsLive(slot)) continue;
    const Session& s = sessions_[slot];
    digest->Add(SessionDigest(s));
    digest->Add(LeaseDigest(s));
    digest->Add(AcknowledgedThroughDigest(s));
    for (const Reply& reply : s.replies) {
      digest->Add(ReplyDigest(s, reply.sequence, reply.value));
    }
    for (const auto& [acquire, outcome] : s.outcomes) {
      digest->Add(OutcomeDigest(s, acquire, outcome.result));
    }
  }
}

// ---- Snapshots

void SessionTable::BeforeSessionChanges(uint32_t slot) {
  if (snapshot_ != nullptr) [[unlikely]]
    snapshot_->BeforeSessionChanges(slot);
}

void SessionTable::BeforeReplyGoes(uint32_t slot, const Reply& reply) {
  if (snapshot_ != nullptr) [[unlikely]]
    snapshot_->BeforeReplyGoes(slot, reply);
}

void SessionTable::BeforeOutcomeGoes(uint32_t slot, Sequence acquire, const KeptOutcome& outcome) {
  if (snapshot_ != nullptr) [[unlikely]]
    snapshot_->BeforeOutcomeGoes(slot, acquire, outcome);
}

}  // namespace lockd::state

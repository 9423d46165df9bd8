#include "server/node/peer_links.h"

#include <algorithm>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "server/node/raft_wire.h"

namespace lockd::node {
namespace {

constexpr FrameHeader HeaderOf(Opcode opcode, uint8_t flags = 0) {
  return {.opcode = opcode, .flags = flags, .group = {}, .request_id = 0};
}

template <typename Message>
[[nodiscard]] bool Parse(const FrameView& frame, Message* message) {
  return message->ParseFromArray(frame.payload.data(), static_cast<int>(frame.payload.size()));
}

std::optional<raft::SnapshotId> RestoredFrom(const pb::PeerHello& hello) {
  if (!hello.has_restored_from()) return std::nullopt;
  return SnapshotFromWire(hello.restored_from());
}

PeerClaim ClaimOf(const pb::PeerHello& hello) {
  return {.node_id = NodeId{hello.node_id()},
          .cluster_name = hello.cluster_name(),
          .cluster_id = ClusterId{hello.cluster_id()},
          .incarnation = Incarnation{hello.incarnation()},
          .has_log = hello.has_log(),
          .term = raft::Term{hello.term()},
          .your_incarnation = Incarnation{hello.your_incarnation()},
          .client_address = hello.client_address(),
          .peer_address = hello.peer_address(),
          .feature_level_max = std::max(uint32_t{1}, hello.feature_level_max()),
          .removed_you = hello.removed_you(),
          .restored_from = RestoredFrom(hello)};
}

}  // namespace

void PeerLinks::OnDialed(NodeId peer, PeerLinkId id) {
  links_[id] = Link{.is_dialed = true,
                    .peer = peer,
                    .is_greeted = false,
                    .features = 0,
                    .said = {},
                    .hello_deadline = {}};
  refused_.erase(peer);
  CloseOlder(id, links_[id]);
  SayHello(id, links_[id]);  // the link may have moved: others are gone
}

void PeerLinks::OnAccepted(PeerLinkId id) {
  links_[id] = Link{};
}

std::optional<PeerMessage> PeerLinks::OnFrame(PeerLinkId id, const FrameView& frame) {
  const auto place = links_.find(id);
  if (place == links_.end()) return std::nullopt;
  frame_deadlines_.OnWhole(id);
  Link& link = place->second;
  if (frame.header.opcode == Opcode::kHello) {
    OnHello(id, link, frame);
    return std::nullopt;
  }
  if (frame.header.opcode == Opcode::kReason) {
    OnReason(id, link, frame);
    return std::nullopt;
  }
  if (!link.is_greeted || link.is_dialed || !frame.header.group.is_zero()) {
    Refuse(id, pb::ERROR_CODE_PROTOCOL,
           absl::StrCat("a ", OpcodeName(frame.header.opcode), " frame is out of place here"));
    return std::nullopt;
  }
  // Not an offence: the sender cannot know what this node has applied, and whether it waits.
  if (!formation_.ListensTo(link.peer)) return std::nullopt;
  return ReadMessage(id, link, frame);
}

std::optional<PeerMessage> PeerLinks::ReadMessage(PeerLinkId id, const Link& link,
                                                  const FrameView& frame) {
  std::optional<PeerMessage> read;
  absl::Status status;
  if (IsDigestFrame(frame.header.opcode) && (options_.peer_features & kPeerFeatureDigests) != 0) {
    const absl::StatusOr<std::optional<DigestMessage>> message =
        ParseDigestMessage(link.peer, options_.node_id, frame);
    if (message.ok() && message->has_value()) {
      read.emplace(std::in_place_type<DigestMessage>, **message);
    }
    status = message.status();
  } else {
    absl::StatusOr<raft::Message> message = ParseRaftMessage(link.peer, options_.node_id, frame);
    if (message.ok()) read.emplace(std::in_place_type<raft::Message>, *std::move(message));
    status = message.status();
  }
  if (!status.ok()) Refuse(id, pb::ERROR_CODE_PROTOCOL, std::string(status.message()));
  return read;
}

void PeerLinks::OnHello(PeerLinkId id, Link& link, const FrameView& frame) {
  pb::PeerHello hello;
  if (!Parse(frame, &hello) || hello.magic() != kPeerMagic) {
    Refuse(id, pb::ERROR_CODE_PROTOCOL,
           "this is lockd's peer port, the other side is no lockd node");
    return;
  }
  if (hello.version_min() > kProtocolVersionMax || hello.version_max() < kProtocolVersionMin) {
    Refuse(
        id, pb::ERROR_CODE_PROTOCOL,
        absl::StrCat("no common protocol version: ", hello.version_min(), "..", hello.version_max(),
                     " and ", kProtocolVersionMin, "..", kProtocolVersionMax));
    return;
  }
  const PeerClaim claim = ClaimOf(hello);
  const bool is_first = !link.is_greeted;
  if (!link.peer.is_zero() && link.peer != claim.node_id) {
    Refuse(id, pb::ERROR_CODE_IDENTITY,
           absl::StrCat("expected node ", link.peer, ", but this is node ", claim.node_id));
    return;
  }
  if (hello.to_node_id() != 0 && NodeId{hello.to_node_id()} != options_.node_id) {
    Refuse(id, pb::ERROR_CODE_IDENTITY,
           absl::StrCat("node ", hello.to_node_id(), " was expected here, but this is node ",
                        options_.node_id));
    return;
  }
  link.peer = claim.node_id;
  const Verdict verdict = formation_.OnHello(claim);
  // The answer comes before a refusal: it tells the other side what is wrong with it.
  if (!link.is_dialed && is_first) SayHello(id, link);
  switch (verdict.kind) {
    case Verdict::Kind::kAccepted:
      break;
    case Verdict::Kind::kWrongIdentity:
      Refuse(id, pb::ERROR_CODE_IDENTITY, verdict.message);
      return;
    case Verdict::Kind::kWrongCluster:
      Refuse(id, pb::ERROR_CODE_WRONG_CLUSTER, verdict.message);
      return;
    case Verdict::Kind::kFatal:
    case Verdict::Kind::kRemoved:
      outbox_.Die(17, verdict.message);
      return;
  }
  link.is_greeted = true;
  link.features = hello.features();
  refused_.erase(claim.node_id);
  link.hello_deadline.reset();
  warned_.erase(claim.node_id);
  if (is_first) CloseOlder(id, link);
}

void PeerLinks::OnReason(PeerLinkId id, const Link& link, const FrameView& frame) {
  pb::Reason reason;
  if (Parse(frame, &reason)) {
    Warn(link, absl::StrCat("node ", link.peer, " refuses the connection: ", reason.message()));
  }
  outbox_.ClosePeer(id);
  Forget(id);
}

void PeerLinks::OnGarbage(PeerLinkId id, const absl::Status& error) {
  if (links_.contains(id)) {
    Refuse(id, pb::ERROR_CODE_PROTOCOL, std::string(error.message()));
  }
}

bool PeerLinks::IsGreeted(PeerLinkId id) const {
  const auto place = links_.find(id);
  return place != links_.end() && place->second.is_greeted;
}

bool PeerLinks::IsGone(NodeId peer) const {
  return refused_.contains(peer) &&
         std::none_of(links_.begin(), links_.end(), [peer](const auto& entry) {
           return entry.second.peer == peer && (entry.second.is_dialed || entry.second.is_greeted);
         });
}

NodeId PeerLinks::PeerOf(PeerLinkId id) const {
  const auto place = links_.find(id);
  return place == links_.end() ? NodeId{0} : place->second.peer;
}

size_t PeerLinks::FrameBytesMax(PeerLinkId id) const {
  return IsGreeted(id) ? kPeerFrameBytesMax : kHelloFrameBytesMax;
}

void PeerLinks::SetOwnProgress(bool has_log, raft::Term term) {
  has_log_ = has_log;
  term_ = term;
}

void PeerLinks::OnTime(LocalTime now) {
  now_ = now;
  std::vector<PeerLinkId> late;
  for (auto& [id, link] : links_) {
    if (link.said) SayHello(id, link);
    if (link.is_greeted) continue;
    if (!link.hello_deadline) {
      link.hello_deadline = now + options_.hello_timeout_ms * kNanosPerMilli;
    } else if (now >= *link.hello_deadline) {
      late.push_back(id);
    }
  }
  for (const PeerLinkId id : late) Refuse(id, pb::ERROR_CODE_TIMEOUT, "no hello in time");
  for (const PeerLinkId id : frame_deadlines_.TakeLate(now)) {
    Refuse(id, pb::ERROR_CODE_TIMEOUT, "the rest of a frame did not come in time");
  }
}

LocalTime PeerLinks::NextDeadline() const {
  LocalTime next = frame_deadlines_.Next();
  for (const auto& [id, link] : links_) {
    if (link.hello_deadline) next = std::min(next, *link.hello_deadline);
  }
  return next;
}

PeerLinks::News PeerLinks::NewsFor(const Link& link) const {
  News news{.cluster_id = formation_.cluster_id(),
            .your_incarnation = {},
            .has_log = has_log_,
            .has_term = !term_.is_zero(),
            .removed_you = !link.peer.is_zero() && formation_.IsRemoved(link.peer)};
  // Without a cluster id there is no cluster that could have registered anybody: what the log holds
  // may yet be replaced.
  if (!news.cluster_id.is_zero()) {
    news.your_incarnation = formation_.RegisteredIncarnation(link.peer);
  }
  return news;
}

void PeerLinks::SayHello(PeerLinkId id, Link& link) {
  const News news = NewsFor(link);
  if (link.said == news) return;
  link.said = news;
  pb::PeerHello hello;
  hello.set_magic(kPeerMagic);
  hello.set_version_min(kProtocolVersionMin);
  hello.set_version_max(kProtocolVersionMax);
  hello.set_features(options_.peer_features);
  hello.set_cluster_id(news.cluster_id.value());
  hello.set_cluster_name(options_.cluster_name);
  hello.set_node_id(options_.node_id.value());
  hello.set_incarnation(options_.incarnation.value());
  hello.set_has_log(news.has_log);
  hello.set_term(term_.value());
  hello.set_client_address(options_.client_address);
  hello.set_peer_address(options_.peer_address);
  hello.set_your_incarnation(news.your_incarnation.value());
  hello.set_feature_level_max(state::kFeatureLevelMax);
  if (link.is_dialed) hello.set_to_node_id(link.peer.value());
  hello.set_is_answer(!link.is_dialed);
  hello.set_removed_you(news.removed_you);
  if (options_.restored_from) SetSnapshot(*options_.restored_from, hello.mutable_restored_from());
  outbox_.SendToPeer(id, HeaderOf(Opcode::kHello, link.is_dialed ? 0 : kFlagReply), hello);
}

void PeerLinks::Refuse(PeerLinkId id, pb::ErrorCode code, const std::string& message) {
  pb::Reason reason;
  reason.set_code(code);
  reason.set_message(message);
  outbox_.SendToPeer(id, HeaderOf(Opcode::kReason), reason);
  outbox_.ClosePeer(id);
  Warn(links_[id], absl::StrCat("peer connection refused: ", message));
  Forget(id);
}

void PeerLinks::CloseOlder(PeerLinkId id, const Link& link) {
  std::vector<PeerLinkId> older;
  for (const auto& [other_id, other] : links_) {
    if (other_id != id && other.peer == link.peer && other.is_dialed == link.is_dialed) {
      older.push_back(other_id);
    }
  }
  for (const PeerLinkId other_id : older) {
    outbox_.ClosePeer(other_id);
    Forget(other_id);
  }
}

void PeerLinks::Forget(PeerLinkId id) {
  links_.erase(id);
  frame_deadlines_.OnWhole(id);
}

void PeerLinks::Warn(const Link& link, const std::string& text) {
  // On a link that was accepted and not greeted, the peer is who it says it is and nobody knows it.
  const bool is_stranger = !link.is_dialed && !link.is_greeted;
  std::string& last = is_stranger ? strangers_.last : warned_[link.peer];
  if (last == text) return;
  if (is_stranger && now_ < strangers_.next_at) {
    ++strangers_.passed_over;
    return;
  }
  last = text;
  if (!is_stranger) {
    outbox_.Warn(text);
    return;
  }
  strangers_.next_at = now_ + kStrangerWarningMs * kNanosPerMilli;
  const uint64_t others = std::exchange(strangers_.passed_over, 0);
  outbox_.Warn(others == 0 ? text : absl::StrCat(text, " (and ", others, " others)"));
}

absl::btree_map<PeerLinkId, PeerLinks::Link>::const_iterator PeerLinks::LinkTo(NodeId peer) const {
  const auto found = std::find_if(links_.begin(), links_.end(), [peer](const auto& each) {
    return each.second.is_dialed && each.second.is_greeted && each.second.peer == peer;
  });
  return found == links_.end() || formation_.ListensTo(peer) ? found : links_.end();
}

void PeerLinks::Send(const raft::Message& message) {
  const auto link = LinkTo(message.to);
  if (link != links_.end()) SendRaftMessage(message, link->first, outbox_);
}

void PeerLinks::Send(const DigestMessage& message) {
  const auto link = LinkTo(message.to);
  if (link == links_.end()) return;
  const uint64_t common = options_.peer_features & link->second.features;
  if ((common & kPeerFeatureDigests) == 0) return;
  SendDigestMessage(message, link->first, outbox_);
}

}  // namespace lockd::node

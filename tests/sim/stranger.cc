#include "tests/sim/stranger.h"

#include <algorithm>
#include <utility>

#include "protocol/base/bytes.h"
#include "protocol/base/check.h"
#include "protocol/frame.h"
#include "protocol/lock.pb.h"
#include "protocol/opcode.h"

namespace lockd::sim {
namespace {

constexpr Time kStayMax = 3 * kSeconds;

}  // namespace

Stranger::Stranger(Scheduler* scheduler, SimNetwork* network, HostId host, uint64_t seed)
    : scheduler_(scheduler), network_(network), host_(host), random_(seed) {
  network_->AddHost(host, this);
  network_->SetUp(host, true);
}

void Stranger::SendGarbage(HostId node, const std::string& sample) {
  std::string bytes;
  if (sample.empty() || random_.Chance(1, 3)) {
    bytes.resize(random_.Between(1, 300));
    for (char& byte : bytes) byte = static_cast<char>(random_.Next());
  } else {
    bytes = sample.substr(0, random_.Between(1, sample.size()));
    const uint64_t flips = random_.Between(0, 4);
    for (uint64_t i = 0; i < flips; ++i) {
      bytes[random_.Below(bytes.size())] = static_cast<char>(random_.Next());
    }
  }
  Dial(node, random_.Chance(1, 2), {std::move(bytes), ""});
}

void Stranger::SendAgain(HostId node, std::string bytes) {
  if (bytes.empty()) return;
  // Hello and attach first: what comes before the attach is done is refused.
  size_t first = 0;
  for (int frame = 0; frame < 2 && first + sizeof(uint32_t) <= bytes.size(); ++frame) {
    first = std::min<size_t>(bytes.size(), first + LoadLittle<uint32_t>(bytes.data() + first));
  }
  Dial(node, false, {bytes.substr(0, first), bytes.substr(first)});
}

void Stranger::AskForTransfer(HostId node, NodeId to) {
  pb::TransferLeadershipRequest request;
  request.set_to_node_id(to.value());
  Ask(node, Opcode::kTransferLeadership, request);
}

void Stranger::AskToAdd(HostId node, NodeId added, const std::string& peer_address) {
  pb::ChangeMembersRequest request;
  request.set_action(pb::MEMBER_ACTION_ADD);
  request.set_node_id(added.value());
  request.set_peer_address(peer_address);
  Ask(node, Opcode::kChangeMembers, request);
}

void Stranger::AskToRemove(HostId node, NodeId removed) {
  pb::ChangeMembersRequest request;
  request.set_action(pb::MEMBER_ACTION_REMOVE);
  request.set_node_id(removed.value());
  Ask(node, Opcode::kChangeMembers, request);
}

void Stranger::Ask(HostId node, Opcode opcode, const google::protobuf::MessageLite& request) {
  const auto header = [](Opcode kind, uint32_t request_id) -> FrameHeader {
    return {.opcode = kind, .flags = 0, .group = {}, .request_id = request_id};
  };
  pb::ClientHello hello;
  hello.set_magic(kClientMagic);
  hello.set_version_min(kProtocolVersionMin);
  hello.set_version_max(kProtocolVersionMax);
  std::string bytes;
  AppendFrame(bytes, header(Opcode::kHello, 1), hello);
  AppendFrame(bytes, header(opcode, 2), request);
  Dial(node, false, {std::move(bytes), ""});
}

void Stranger::Dial(HostId node, bool peer_port, Message message) {
  to_send_.emplace(network_->Dial(host_, node, peer_port), std::move(message));
}

void Stranger::OnDialed(LinkId link) {
  const auto found = to_send_.find(link);
  LOCKD_CHECK(found != to_send_.end(), "a link that was not dialled");
  network_->SendRaw(link, host_, std::move(found->second.first));
  scheduler_->After(static_cast<Time>(random_.Between(1, 300)) * kMillis, [this, link] {
    const auto open = to_send_.find(link);
    if (open != to_send_.end()) network_->SendRaw(link, host_, std::move(open->second.rest));
  });
  scheduler_->After(static_cast<Time>(random_.Between(1, static_cast<uint64_t>(kStayMax))),
                    [this, link] {
                      if (to_send_.erase(link) > 0) network_->Close(link, host_);
                    });
}

void Stranger::OnDialFailed(LinkId link, bool) {
  to_send_.erase(link);
}

void Stranger::OnAccepted(LinkId, bool) {
  LOCKD_UNREACHABLE("nobody dials a stranger");
}

void Stranger::OnLinkClosed(LinkId link) {
  to_send_.erase(link);
}

}  // namespace lockd::sim

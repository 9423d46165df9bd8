#include "client/node_reader.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/request_encoder.h"
#include "protocol/base/text.h"
#include "protocol/frame.h"
#include "protocol/lock.pb.h"

namespace lockd::client {

namespace asio = boost::asio;
using asio::as_tuple;
using asio::use_awaitable;
using google::protobuf::MessageLite;
using std::chrono::steady_clock;

NodeReader::NodeReader(asio::io_context& context, NodeReaderOptions options)
    : options_(std::move(options)),
      finder_(options_.endpoints, options_.backoff_min.count(), options_.backoff_max.count(),
              options_.seed),
      socket_(context),
      resolver_(context),
      guard_(context),
      pause_(context),
      deadline_(steady_clock::now() + options_.timeout),
      decoder_(kHelloFrameBytesMax) {}

asio::awaitable<absl::Status> NodeReader::Read(Opcode opcode, const MessageLite& request,
                                               MessageLite* reply) {
  const std::shared_ptr<NodeReader> keep_alive = shared_from_this();
  last_error_ = absl::UnavailableError("no node answered in time");
  while (steady_clock::now() < deadline_) {
    GuardUntil(std::min(deadline_, steady_clock::now() + options_.attempt_timeout));
    const Attempt attempt = co_await TryOnce(opcode, request, reply);
    if (attempt == Attempt::kAnswered) {
      guard_.cancel();
      finder_.OnAttached();
      co_return absl::OkStatus();
    }
    if (attempt == Attempt::kFinal || options_.once) break;
    Close();
    if (attempt == Attempt::kRedirected && finder_.OnHint(hint_)) continue;
    const std::chrono::nanoseconds pause(finder_.OnFailureNs());
    if (steady_clock::now() + pause >= deadline_) break;
    pause_.expires_after(pause);
    co_await pause_.async_wait(as_tuple(use_awaitable));
  }
  Close();
  co_return last_error_;
}

void NodeReader::Reject() {
  Close();
}

asio::awaitable<NodeReader::Attempt> NodeReader::TryOnce(Opcode opcode, const MessageLite& request,
                                                         MessageLite* reply) {
  hint_.clear();
  if (!is_ready_) {
    address_ = finder_.Next();
    const bool is_connected = co_await Connect();
    if (!is_connected) co_return Attempt::kFailed;
    const bool is_greeted = co_await Greet();
    if (!is_greeted) co_return hint_.empty() ? Attempt::kFailed : Attempt::kRedirected;
    is_ready_ = true;
  }
  const uint32_t request_id = last_request_id_ = NextRequestId(last_request_id_);
  std::string bytes;
  AppendFrame(bytes, {.opcode = opcode, .group = GroupId(0), .request_id = request_id}, request);
  const bool is_sent = co_await Send(std::move(bytes));
  if (!is_sent) co_return Attempt::kFailed;
  FrameView frame;
  const bool is_received = co_await Receive(&frame);
  if (!is_received) co_return Attempt::kFailed;
  if (frame.header.opcode != opcode || frame.header.request_id != request_id ||
      (frame.header.flags & kFlagReply) == 0) {
    Fail("answered with another frame than asked for");
    co_return Attempt::kFailed;
  }
  if ((frame.header.flags & kFlagError) != 0) co_return OnError(frame.payload);
  if (!reply->ParseFromArray(frame.payload.data(), static_cast<int>(frame.payload.size()))) {
    Fail("sent a payload that does not parse");
    co_return Attempt::kFailed;
  }
  co_return Attempt::kAnswered;
}

NodeReader::Attempt NodeReader::OnError(absl::string_view payload) {
  pb::Error error;
  if (!error.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
    Fail("sent an error that does not parse");
    return Attempt::kFailed;
  }
  Fail(error.message());
  switch (error.code()) {
    case pb::ERROR_CODE_INVALID_ARGUMENT:
      last_error_ = absl::InvalidArgumentError(error.message());
      return Attempt::kFinal;
    case pb::ERROR_CODE_RESOURCE_EXHAUSTED:
      last_error_ = absl::ResourceExhaustedError(error.message());
      return Attempt::kFailed;
    default:
      if (options_.any_node) return Attempt::kFailed;
      hint_ = error.leader().client_address();
      return hint_.empty() ? Attempt::kFailed : Attempt::kRedirected;
  }
}

asio::awaitable<bool> NodeReader::Connect() {
  const absl::StatusOr<HostPort> target = ParseHostPort(address_);
  if (!target.ok()) co_return Fail(absl::string_view(target.status().message()));
  auto [resolve_error, found] =
      co_await resolver_.async_resolve(target->host, std::to_string(target->port),
                                       Tcp::resolver::numeric_service, as_tuple(use_awaitable));
  if (resolve_error) co_return Fail(resolve_error.message());
  auto [error, endpoint] = co_await asio::async_connect(socket_, found, as_tuple(use_awaitable));
  if (error) co_return Fail(error.message());
  boost::system::error_code ignored;
  socket_.set_option(Tcp::no_delay(true), ignored);
  co_return true;
}

asio::awaitable<bool> NodeReader::Greet() {
  std::string bytes;
  RequestEncoder().Hello(bytes, options_.client_name, 0);
  const bool is_sent = co_await Send(std::move(bytes));
  if (!is_sent) co_return false;
  FrameView frame;
  const bool is_received = co_await Receive(&frame);
  if (!is_received) co_return false;
  pb::ServerHello hello;
  if (frame.header.opcode != Opcode::kHello ||
      !hello.ParseFromArray(frame.payload.data(), static_cast<int>(frame.payload.size())) ||
      hello.magic() != kClientMagic) {
    co_return Fail("is not a lockd node");
  }
  if (hello.version() < kProtocolVersionMin || hello.version() > kProtocolVersionMax) {
    co_return Fail(absl::StrCat("speaks protocol version ", hello.version(), " only"));
  }
  decoder_.set_frame_bytes_max(kClientFrameBytesMax);
  if (!options_.any_node && hello.leader().node_id() != 0 &&
      hello.leader().node_id() != hello.node_id()) {
    hint_ = hello.leader().client_address();
    if (!hint_.empty()) co_return Fail("does not lead");
  }
  co_return true;
}

asio::awaitable<bool> NodeReader::Send(std::string bytes) {
  auto [error, count] =
      co_await asio::async_write(socket_, asio::buffer(bytes), as_tuple(use_awaitable));
  if (error) co_return Fail(error.message());
  co_return true;
}

asio::awaitable<bool> NodeReader::Receive(FrameView* frame) {
  for (;;) {
    const FrameDecoder::Result result = decoder_.Next(frame);
    if (result == FrameDecoder::Result::kError) co_return Fail(decoder_.status().message());
    if (result == FrameDecoder::Result::kFrame) {
      if (frame->header.opcode != Opcode::kReason) co_return true;
      pb::Reason reason;
      reason.ParseFromArray(frame->payload.data(), static_cast<int>(frame->payload.size()));
      co_return Fail(reason.message());
    }
    auto [error, count] =
        co_await socket_.async_read_some(asio::buffer(buffer_), as_tuple(use_awaitable));
    if (error) co_return Fail(error.message());
    decoder_.Feed(absl::string_view(buffer_.data(), count));
  }
}

// Always false, so that a caller can return it.
bool NodeReader::Fail(absl::string_view why) {
  last_error_ = absl::UnavailableError(absl::StrCat(address_, ": ", why));
  return false;
}

void NodeReader::Close() {
  boost::system::error_code ignored;
  guard_.cancel();
  resolver_.cancel();
  socket_.close(ignored);
  decoder_ = FrameDecoder(kHelloFrameBytesMax);
  is_ready_ = false;
}

void NodeReader::GuardUntil(steady_clock::time_point until) {
  guard_.expires_at(until);
  guard_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
    const std::shared_ptr<NodeReader> self = weak.lock();
    if (error || self == nullptr) return;
    boost::system::error_code ignored;
    self->resolver_.cancel();
    self->socket_.close(ignored);
  });
}

}  // namespace lockd::client

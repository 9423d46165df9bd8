// NodeReader: one read call, from finding a node that answers to its reply.
//
//   auto reader = std::make_shared<NodeReader>(context, endpoints, ...);
//   absl::Status status = co_await reader->Read(Opcode::kGetLock, request, &reply);
//
// Asks the endpoints in turn until one gives an answer that is not "go elsewhere": follows leader
// hints, backs off where there is no leader, gives up at the deadline. Asking again is always
// right: reads change nothing, and what operators ask for may be done twice. A connection that has
// answered is kept for the next Read of the same reader (the pages of a list).
//
// Threading: loop only; one Read at a time.
#ifndef LOCKD_CLIENT_NODE_READER_H_
#define LOCKD_CLIENT_NODE_READER_H_

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/leader_finder.h"
#include "protocol/frame_decoder.h"
#include "protocol/opcode.h"

namespace google::protobuf {
class MessageLite;
}

namespace lockd::client {

struct NodeReaderOptions {
  std::vector<std::string> endpoints;
  std::string client_name;
  std::chrono::milliseconds timeout{5'000};
  std::chrono::milliseconds attempt_timeout{2'000};
  std::chrono::milliseconds backoff_min{20};
  std::chrono::milliseconds backoff_max{1'000};
  // Any node will do: hints are not followed.
  bool any_node = false;
  // Stop at the first failure instead of trying until the timeout.
  bool once = false;
  uint64_t seed = 0;
};

class NodeReader : public std::enable_shared_from_this<NodeReader> {
 public:
  NodeReader(boost::asio::io_context& context, NodeReaderOptions options);

  // `request` and `reply` must live until it has completed.
  boost::asio::awaitable<absl::Status> Read(Opcode opcode,
                                            const google::protobuf::MessageLite& request,
                                            google::protobuf::MessageLite* reply);
  // The timeout begins anew: for calls of many Reads, of which each may take that long.
  void RenewDeadline() { deadline_ = std::chrono::steady_clock::now() + options_.timeout; }
  // The last answer is not good enough (it goes backwards): close, and try another node next time.
  void Reject();
  [[nodiscard]] const std::string& address() const { return address_; }

 private:
  using Tcp = boost::asio::ip::tcp;
  enum class Attempt : uint8_t { kAnswered, kFinal, kFailed, kRedirected };

  boost::asio::awaitable<Attempt> TryOnce(Opcode opcode,
                                          const google::protobuf::MessageLite& request,
                                          google::protobuf::MessageLite* reply);
  boost::asio::awaitable<bool> Connect();
  boost::asio::awaitable<bool> Greet();
  boost::asio::awaitable<bool> Send(std::string bytes);
  boost::asio::awaitable<bool> Receive(FrameView* frame);
  Attempt OnError(absl::string_view payload);
  bool Fail(absl::string_view why);
  void Close();
  // Closes the socket at that time unless it is called again before.
  void GuardUntil(std::chrono::steady_clock::time_point until);

  const NodeReaderOptions options_;
  LeaderFinder finder_;
  Tcp::socket socket_;
  Tcp::resolver resolver_;
  boost::asio::steady_timer guard_;
  boost::asio::steady_timer pause_;
  std::chrono::steady_clock::time_point deadline_;
  FrameDecoder decoder_;
  std::array<char, 16 * 1024> buffer_;
  std::string address_;
  std::string hint_;
  absl::Status last_error_;
  uint32_t last_request_id_ = 0;
  bool is_ready_ = false;  // connected and greeted
};

}  // namespace lockd::client

#endif  // LOCKD_CLIENT_NODE_READER_H_

// FrameConnection: one TCP connection that carries frames, client or peer.
//
// Reads when the socket is readable, into one buffer that all connections of a loop share, so that
// an idle connection owns no read buffer; cuts the bytes into frames and gives each to the owner.
// Writes at once as far as the socket takes it and keeps the rest, bounded: a reader that is too
// slow is dropped, not buffered. The kernel probes connections on which nothing moves, so that
// those whose other side has vanished without a word do not stay for ever.
//
// The owner's callbacks (FrameConnectionHandler) run inside the read handler. `OnConnectionClosed`
// comes at most once, and not after the owner's own Close.
//
// Lifetime: shared, because outstanding Asio handlers need the object; the owner drops its pointer
// after OnConnectionClosed or Close. Threading: loop only.
#ifndef LOCKD_SERVER_NET_FRAME_CONNECTION_H_
#define LOCKD_SERVER_NET_FRAME_CONNECTION_H_

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "protocol/frame.h"
#include "protocol/frame_decoder.h"

namespace lockd::net {

class FrameConnection;

class FrameConnectionHandler {
 public:
  // One whole frame. The connection may be closed inside (Close); no further frames come then.
  virtual void OnConnectionFrame(FrameConnection& connection, const FrameView& frame) = 0;
  // After the whole frames of what arrived: a piece of one is left.
  virtual void OnConnectionPartial(FrameConnection& connection) = 0;
  // The bytes were not frames. The owner says goodbye and closes.
  virtual void OnConnectionGarbage(FrameConnection& connection, const absl::Status& error) = 0;
  // Closed by the other side, broken, or dropped for being a slow reader.
  virtual void OnConnectionClosed(FrameConnection& connection) = 0;
  // The largest frame that is acceptable now.
  virtual size_t FrameBytesMax(FrameConnection& connection) = 0;

 protected:
  ~FrameConnectionHandler() = default;
};

class FrameConnection : public std::enable_shared_from_this<FrameConnection> {
 public:
  // `id` names the connection for its owner. `output_bytes_max` bounds what waits to be sent.
  // `read_buffer` is shared by the loop's connections; it and `handler` outlive this object's open
  // time. `open_sockets` counts the owner's sockets, this one until it is closed (lingering
  // included).
  FrameConnection(boost::asio::ip::tcp::socket socket, uint64_t id, size_t output_bytes_max,
                  std::vector<char>* read_buffer, FrameConnectionHandler* handler,
                  std::shared_ptr<size_t> open_sockets);
  ~FrameConnection();

  FrameConnection(const FrameConnection&) = delete;
  FrameConnection& operator=(const FrameConnection&) = delete;

  void Start();
  // Sends now what the socket takes. Returns false, with the connection dropped (no callback), when
  // more than output_bytes_max would have to wait.
  [[nodiscard]] bool Send(std::string bytes);
  // Sends what waits, ends the sending direction, and closes when the other side has closed too or
  // after kLingerMs: a close with unread input would reset the connection, and the reason frame
  // would be lost with it. No callbacks from here on.
  void CloseWhenSent();
  // At once. No callbacks from here on.
  void Close();

  [[nodiscard]] uint64_t id() const { return id_; }
  [[nodiscard]] std::string remote_address() const;

 private:
  enum class State : uint8_t {
    kOpen,
    kClosing,    // what waits is being sent
    kLingering,  // all is sent; input is read and thrown away until the other side closes
    kClosed,
  };
  static constexpr int kLingerMs = 1'000;
  // When nothing moves for so long the kernel asks whether the other side is there.
  static constexpr int kProbeAfterSeconds = 30;
  static constexpr int kProbeEverySeconds = 10;
  static constexpr int kProbes = 3;
  // An output buffer that grew beyond this in a burst is given back when it is empty.
  static constexpr size_t kKeptOutputBytes = 64 * 1024;

  void ProbeWhenSilent();
  void WaitReadable();
  void OnReadable();
  void DeliverFrames();
  void WaitWritable();
  // Sends from the front of unsent_ as far as the socket takes it; false when the connection broke.
  bool Flush();
  void BeginLinger();
  // The connection broke or ended by itself.
  void Fail();

  boost::asio::ip::tcp::socket socket_;
  boost::asio::steady_timer linger_timer_;
  const uint64_t id_;
  const size_t output_bytes_max_;
  std::vector<char>* const read_buffer_;
  FrameConnectionHandler* const handler_;
  const std::shared_ptr<size_t> open_sockets_;

  State state_ = State::kOpen;
  bool is_deaf_ = false;  // the stream stopped being frames: nothing more is decoded
  bool is_waiting_writable_ = false;
  FrameDecoder decoder_;
  std::string unsent_;  // from unsent_offset_ on
  size_t unsent_offset_ = 0;
};

}  // namespace lockd::net

#endif  // LOCKD_SERVER_NET_FRAME_CONNECTION_H_

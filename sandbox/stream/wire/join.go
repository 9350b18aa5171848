package wire

import (
	"context"
	"io"
	"sync"
	"time"
)

// Socket is what a stream is joined to: a net.Conn, whose CloseWrite is used if it
// has one.
type Socket interface {
	io.ReadWriteCloser
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
}

// Linger is how long one direction of a joined stream may go on when the other has
// ended: a program that keeps a connection open for which nothing comes any more
// must not keep its place.
const Linger = 5 * time.Second

// Join copies between a stream and a socket, both ways, until both are over, and
// closes the socket. in is what comes from the stream, and may have read ahead. An
// end of one is passed on as one. What is under way is bounded by the stream's
// credit. It returns at once when the connection ends, and at most Linger after
// the first direction has ended otherwise.
func Join(s *Stream, in io.Reader, socket Socket) {
	over := make(chan struct{})
	var watcher, up sync.WaitGroup
	watcher.Go(func() { abandon(s, socket, over) })
	up.Go(func() {
		if _, err := io.Copy(s, socket); err != nil {
			s.Reset("")
			return
		}
		s.CloseWrite()
		linger := time.AfterFunc(Linger, func() { s.Reset("") })
		context.AfterFunc(s.Context(), func() { linger.Stop() })
	})
	_, err := io.Copy(socket, in)
	if err == nil {
		endWrite(socket)
	}
	_ = socket.SetReadDeadline(time.Now().Add(Linger))
	if s.Context().Err() != nil {
		_ = socket.SetReadDeadline(time.Now()) // as abandon has, or will
	}
	if err != nil {
		// Nobody takes more. What the socket has still to say may be why.
		_, _ = io.Copy(io.Discard, in)
	}
	up.Wait()
	close(over)
	watcher.Wait()
	_ = socket.Close()
	s.Reset("")
}

// endWrite passes an end on. A socket with one end only is closed: no HTTP client
// waits for an answer after it has hung up.
func endWrite(socket Socket) {
	if half, ok := socket.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // a socket that is closed has ended
		return
	}
	_ = socket.Close() // as above
}

// abandon ends what a socket does for a stream that is over: what came before that
// end may still be on its way out, until the connection ends too. It sets
// deadlines, whose errors are those of a socket that has ended.
func abandon(s *Stream, socket Socket, over <-chan struct{}) {
	select {
	case <-s.Context().Done():
	case <-over:
		return
	}
	now := time.Now()
	_ = socket.SetReadDeadline(now)
	_ = socket.SetWriteDeadline(now.Add(Linger))
	select {
	case <-s.conn.Done():
		_ = socket.SetWriteDeadline(now)
	case <-over:
	}
}

package poll

import "testing"

// A request to give way that came while its holder fetched, and got a task, is not
// for the holder's next turn.
func TestAnOldRequestToGiveWayIsForgotten(t *testing.T) {
	var line turn
	holder, hurried := newTicket(), newTicket()
	if err := line.acquire(t.Context(), holder, false); err != nil {
		t.Fatal(err)
	}
	if line.enter(hurried, true) {
		t.Fatal("two hold the turn")
	}
	line.release() // the holder has got a task
	<-hurried.granted
	line.release()
	if err := line.acquire(t.Context(), holder, false); err != nil {
		t.Fatal(err)
	}
	select {
	case <-holder.yield:
		t.Error("the holder is asked to give way by a request of its last turn")
	default:
	}
}

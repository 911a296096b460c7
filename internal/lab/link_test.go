package lab_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/hansa-io/hansa/internal/lab"
)

func TestLinkPassesBytesUntilCut(t *testing.T) {
	link := lab.Forward(t, echo(t))
	conn := dial(t, link)
	say(t, conn, "one")
	hear(t, conn, "one")

	link.Cut()
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("open connection after the cut: %v, want it closed", err)
	}
	if _, err := net.Dial("tcp", link.Address()); err == nil {
		t.Error("a new connection was accepted after the cut")
	}

	link.Heal()
	conn = dial(t, link)
	say(t, conn, "two")
	hear(t, conn, "two")
}

func TestStalledLinkDeliversLate(t *testing.T) {
	link := lab.Forward(t, echo(t))
	conn := dial(t, link)
	link.Stall()
	say(t, conn, "late")
	_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read on a stalled link: %v, want a timeout", err)
	}
	link.Heal()
	hear(t, conn, "late")
}

func TestStalledLinkCanBeCut(t *testing.T) {
	link := lab.Forward(t, echo(t))
	conn := dial(t, link)
	link.Stall()
	say(t, conn, "lost")
	link.Cut()
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("open connection after the cut: %v, want it closed", err)
	}
}

// echo is a server that sends back what it hears.
func echo(t *testing.T) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	return listener.Addr().String()
}

func dial(t *testing.T, link *lab.Link) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", link.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	return conn
}

func say(t *testing.T, conn net.Conn, line string) {
	t.Helper()
	if _, err := fmt.Fprintln(conn, line); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	got, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || got != want+"\n" {
		t.Fatalf("heard %q, %v; want %q", got, err, want)
	}
}

// What a slow link delays, it delivers all the same.
func TestSlowLinkDeliversLater(t *testing.T) {
	link := lab.Forward(t, echo(t))
	conn := dial(t, link)
	const late = 50 * time.Millisecond
	link.Delay(late)
	start := time.Now()
	say(t, conn, "later")
	hear(t, conn, "later")
	if took := time.Since(start); took < late {
		t.Errorf("delivered after %s", took)
	}
}

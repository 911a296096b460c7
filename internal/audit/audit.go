// Package audit answers: what was removed, given up or taken over in a member, by whom and why? One JSON line tells of each such act.
package audit

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Record tells of one act. The member's own audit log has the same object UID, and the user agent of the control plane.
type Record struct {
	// Act is delete, release or adopt. It is first, so that the lines can be told from those of other logs.
	Act  string    `json:"audit"`
	Time time.Time `json:"time"`
	// ControlPlane is the UID of its namespace in the host, Leader the holder of its Lease.
	ControlPlane string `json:"controlPlane"`
	Leader       string `json:"leader"`
	// Cluster is the member, ClusterID the UID of its namespace kube-system.
	Cluster   string `json:"cluster"`
	ClusterID string `json:"clusterID"`

	Group     string `json:"group"`
	Version   string `json:"version"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	UID       string `json:"uid,omitempty"`
	// Seen is the resource version of the object that the decision rests on.
	Seen string `json:"seen,omitempty"`

	// Reason of the verdict, and the federated object that it is about: its type, namespace/name and UID.
	Reason    string `json:"reason"`
	Federated string `json:"federated"`
	OwnerUID  string `json:"ownerUID,omitempty"`

	// Outcome is Done or Failed. What failed may have been done all the same, if the member did not answer.
	Outcome string `json:"outcome"`
	Message string `json:"message,omitempty"`
}

// Log writes records, one at a time.
type Log struct {
	// controlPlane and leader are the same in all records.
	controlPlane, leader string

	mu sync.Mutex
	to io.Writer
}

// Open returns a log that writes to a file, which is made or added to; "-" is the standard error, and an empty path nowhere.
func Open(path, controlPlane, leader string) (*Log, error) {
	l := &Log{controlPlane: controlPlane, leader: leader, to: io.Discard}
	switch path {
	case "":
	case "-":
		l.to = os.Stderr
	default:
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open the audit log: %w", err)
		}
		l.to = f
	}
	return l, nil
}

// Write writes a record as of now.
func (l *Log) Write(r Record) error {
	r.Time, r.ControlPlane, r.Leader = time.Now().UTC(), l.controlPlane, l.leader
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.to.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write the audit log: %w", err)
	}
	return nil
}

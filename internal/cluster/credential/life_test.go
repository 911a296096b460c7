package credential

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	fedv1 "github.com/hansa-io/hansa/api/core/v1beta1"
)

func TestSchedule(t *testing.T) {
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	day := Life{Issued: start, Expires: start.Add(24 * time.Hour)}
	for _, tc := range []struct {
		life       Life
		at         time.Duration
		due, alarm bool
	}{
		{day, -time.Hour, false, false}, // the clock that issued it was ahead
		{day, 0, false, false},
		{day, 12*time.Hour - time.Second, false, false},
		{day, 12 * time.Hour, true, false},
		{day, 19 * time.Hour, true, false},
		{day, 19*time.Hour + 12*time.Minute, true, true},
		{day, 48 * time.Hour, true, true},
		{Life{}, 0, false, false},
	} {
		now := start.Add(tc.at)
		if tc.life.Due(now) != tc.due || tc.life.Alarming(now) != tc.alarm {
			t.Errorf("%v after the start: due %v, alarming %v", tc.at, tc.life.Due(now), tc.life.Alarming(now))
		}
	}
}

func TestLifeOf(t *testing.T) {
	const issued, expires = fedv1.CredentialIssuedAnnotation, fedv1.CredentialExpiresAnnotation
	for name, tc := range map[string]struct {
		annotations   map[string]string
		eternal, fail bool
	}{
		"KubeFed's":    {nil, true, false},
		"bound":        {map[string]string{issued: "2026-11-01T00:00:00Z", expires: "2026-11-02T00:00:00Z"}, false, false},
		"no start":     {map[string]string{expires: "2026-11-02T00:00:00Z"}, false, true},
		"garbage":      {map[string]string{issued: "2026-11-01T00:00:00Z", expires: "tomorrow"}, false, true},
		"ends at once": {map[string]string{issued: "2026-11-02T00:00:00Z", expires: "2026-11-02T00:00:00Z"}, false, true},
	} {
		s := &corev1.Secret{}
		s.Annotations = tc.annotations
		life, err := LifeOf(s)
		if (err != nil) != tc.fail || err == nil && life.Eternal() != tc.eternal {
			t.Errorf("%s: %v, %v", name, life, err)
		}
	}
}

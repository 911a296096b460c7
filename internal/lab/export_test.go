package lab

// TryRun is Run that returns its error.
func (l *Lab) TryRun(args ...string) (string, error) { return l.run(args...) }

// Binary is the path of hansa-lab.
func (l *Lab) Binary() string { return l.binary }

package plan

// What the tests of this package look at from outside.
var (
	Patch   = patch
	Render  = render
	Version = version
)

package kmstest

import (
	"regexp"
	"strings"
)

// constraint is what the service model of KMS says about a member.
type constraint struct {
	// min and max bound the length of a string in characters, of a blob in
	// bytes and of a list in elements, or the value of a number.
	min, max int

	pattern *pattern // of a string, or nil
}

// maxMessage is the maximum length of a message in bytes.
const maxMessage = 4096

// constraints has the constraints of the service model by the name of the
// member, which has the same ones in all operations. Members that are not here
// have none, or are of an enum.
//
// The source is the model that the SDKs are made from, as botocore publishes it
// (data/kms/2014-11-01/service-2.json), with three exceptions. The
// documentation of the SDK has Message from 0 bytes, but recordings have the
// limits of the model. The pattern of KeyId is from a recording. The members of
// grants to service principals are newer than that model, so theirs are a
// guess.
var constraints = map[string]constraint{
	"AliasName":                {1, 256, like(`^[a-zA-Z0-9:/_-]+$`)},
	"AttestationDocument":      {1, 262144, nil},
	"CustomKeyStoreId":         {1, 64, nil},
	"Description":              {0, 8192, nil},
	"EncryptedKeyMaterial":     {1, 6144, nil},
	"GrantId":                  {1, 128, nil},
	"GrantToken":               {1, 8192, nil},
	"GrantTokens":              {0, 10, nil},
	"GranteePrincipal":         {1, 256, principal},
	"GranteeServicePrincipal":  {1, 256, principal},
	"ImportToken":              {1, 6144, nil},
	"KeyId":                    {1, 2048, ascii},
	"KeyMaterialDescription":   {0, 256, like(`^[a-zA-Z0-9:/_\s.-]+$`)},
	"KeyMaterialId":            {64, 64, like(`^[a-f0-9]+$`)},
	"Limit":                    {1, 1000, nil},
	"Mac":                      {1, 6144, nil},
	"Marker":                   {1, 1024, like(`[\u0020-\u00FF]*`)},
	"Message":                  {1, maxMessage, nil},
	"Name":                     {1, 256, like(`^[a-zA-Z0-9:/_-]+$`)},
	"NumberOfBytes":            {1, 1024, nil},
	"PendingWindowInDays":      {1, 365, nil},
	"Policy":                   {1, 131072, like(`[\u0009\u000A\u000D\u0020-\u00FF]+`)},
	"PolicyName":               {1, 128, like(`[\w]+`)},
	"PrimaryRegion":            {1, 32, region},
	"ReplicaRegion":            {1, 32, region},
	"RetiringPrincipal":        {1, 256, principal},
	"RetiringServicePrincipal": {1, 256, principal},
	"RotationPeriodInDays":     {90, 2560, nil},
	"Signature":                {1, 6144, nil},
	"TagKey":                   {1, 128, nil},
	"TagValue":                 {0, 256, nil},
	"TargetKeyId":              {1, 2048, ascii},
	"XksKeyId":                 {1, 128, like(`^[a-zA-Z0-9-_.]+$`)},
}

var (
	ascii     = like(`^\p{ASCII}+$`)
	principal = like(`^[\w+=,.@:/-]+$`)
	region    = like(`^([a-z]+-){2,3}\d+$`)
)

// pattern is a regular expression of the service model, in the syntax of Java,
// which a whole value must match.
type pattern struct {
	text string
	form *regexp.Regexp
}

var javaUnicode = regexp.MustCompile(`\\u([0-9A-F]{4})`)

func like(text string) *pattern {
	form := strings.ReplaceAll(text, `\p{ASCII}`, `[\x00-\x7f]`)
	form = javaUnicode.ReplaceAllString(form, `\x{$1}`)
	return &pattern{text, regexp.MustCompile(`^(?:` + form + `)$`)}
}

func (p *pattern) matches(s string) bool { return p.form.MatchString(s) }

func (p *pattern) String() string { return p.text }

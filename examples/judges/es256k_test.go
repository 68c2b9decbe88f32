// jwx knows secp256k1 only with its own build tag:
//
//	go test -tags jwx_es256k ./judges

//go:build jwx_es256k

package judges

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/kmssign/kmssign/jwtkms"
)

func TestJWXES256K(t *testing.T) {
	jwxVerifies(t, jwtkms.ES256K, types.KeySpecEccSecgP256k1)
}

package thirdparty_test

import (
	"crypto"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"log"
	"math/big"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/ethereum/go-ethereum/common"
	ethtypes "github.com/ethereum/go-ethereum/core/types"
	ethcrypto "github.com/ethereum/go-ethereum/crypto"

	"github.com/kmssign/kmssign/derconv"
	"github.com/kmssign/kmssign/examples/plugins/internal/fake"
)

// signTx signs an Ethereum transaction. KMS gives no recovery id, so the two that
// are possible are tried. The transaction hash is Keccak-256, for which there is
// no crypto.Hash, hence the nil options.
func signTx(signer crypto.Signer, chain ethtypes.Signer, tx *ethtypes.Transaction) (*ethtypes.Transaction, error) {
	pub, ok := signer.Public().(*ecdsa.PublicKey)
	if !ok || pub.Params().Name != "secp256k1" {
		return nil, errors.New("an Ethereum account needs a secp256k1 key")
	}
	der, err := signer.Sign(nil, chain.Hash(tx).Bytes(), nil)
	if err != nil {
		return nil, err
	}
	sig, err := derconv.ToP1363(der, pub.Curve)
	if err != nil {
		return nil, err
	}
	if sig, err = derconv.LowSP1363(sig, pub.Curve); err != nil {
		return nil, err
	}
	for id := range byte(2) {
		signed, err := tx.WithSignature(chain, append(sig[:64:64], id))
		if err != nil {
			return nil, err
		}
		if from, err := ethtypes.Sender(chain, signed); err == nil && from == ethcrypto.PubkeyToAddress(*pub) {
			return signed, nil
		}
	}
	return nil, errors.New("no recovery id gives the address of the key")
}

// A transfer from an account whose key is in KMS.
func Example_ethereum() {
	signer := fake.NewSigner(types.KeySpecEccSecgP256k1)
	to := common.HexToAddress("0x00000000000000000000000000000000deadbeef")
	tx := ethtypes.NewTx(&ethtypes.DynamicFeeTx{
		ChainID:   big.NewInt(1),
		To:        &to,
		Value:     big.NewInt(1e15),
		Gas:       21000,
		GasFeeCap: big.NewInt(30e9),
		GasTipCap: big.NewInt(1e9),
	})
	chain := ethtypes.LatestSignerForChainID(tx.ChainId())
	signed, err := signTx(signer, chain, tx)
	if err != nil {
		log.Fatal(err)
	}

	from, err := ethtypes.Sender(chain, signed)
	fmt.Println(from == ethcrypto.PubkeyToAddress(*signer.Public().(*ecdsa.PublicKey)), err)
	// Output: true <nil>
}

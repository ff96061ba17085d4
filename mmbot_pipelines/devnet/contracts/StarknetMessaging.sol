// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// L1 side of Starknet messaging for the local chains, with the selectors, the
/// event and the message hash of the published Starknet core contract. Here a
/// message is consumed by an operator, not by a proven state update.
contract StarknetMessaging {
    event LogMessageToL2(
        address indexed fromAddress,
        uint256 indexed toAddress,
        uint256 indexed selector,
        uint256[] payload,
        uint256 nonce,
        uint256 fee
    );
    event ConsumedMessageToL2(
        address indexed fromAddress,
        uint256 indexed toAddress,
        uint256 indexed selector,
        uint256[] payload,
        uint256 nonce
    );

    // Nobody holds its key: the devnet's node impersonates it, so that no
    // wallet's nonces are disturbed by deliveries.
    address public constant operator =
        address(uint160(uint256(keccak256("mmbot.devnet.starknet.operator"))));

    uint256 public l1ToL2MessageNonce;

    /// Fee + 1 while the message is undelivered, 0 otherwise.
    mapping(bytes32 => uint256) public l1ToL2Messages;

    function getMaxL1MsgFee() public pure returns (uint256) {
        return 1 ether;
    }

    function sendMessageToL2(uint256 toAddress, uint256 selector, uint256[] calldata payload)
        external
        payable
        returns (bytes32, uint256)
    {
        require(msg.value > 0, "L1_MSG_FEE_MUST_BE_GREATER_THAN_0");
        require(msg.value <= getMaxL1MsgFee(), "MAX_L1_MSG_FEE_EXCEEDED");
        uint256 nonce = l1ToL2MessageNonce++;
        bytes32 hash = messageHash(msg.sender, toAddress, nonce, selector, payload);
        l1ToL2Messages[hash] = msg.value + 1;
        emit LogMessageToL2(msg.sender, toAddress, selector, payload, nonce, msg.value);
        return (hash, nonce);
    }

    function consumeMessageToL2(
        address fromAddress,
        uint256 toAddress,
        uint256 selector,
        uint256[] calldata payload,
        uint256 nonce
    ) external {
        require(msg.sender == operator, "ONLY_OPERATOR");
        bytes32 hash = messageHash(fromAddress, toAddress, nonce, selector, payload);
        require(l1ToL2Messages[hash] > 0, "INVALID_MESSAGE_TO_CONSUME");
        l1ToL2Messages[hash] = 0;
        emit ConsumedMessageToL2(fromAddress, toAddress, selector, payload, nonce);
    }

    function messageHash(
        address fromAddress,
        uint256 toAddress,
        uint256 nonce,
        uint256 selector,
        uint256[] calldata payload
    ) public pure returns (bytes32) {
        return keccak256(
            abi.encodePacked(
                uint256(uint160(fromAddress)), toAddress, nonce, selector, payload.length, payload
            )
        );
    }
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

// keccak256("eip1967.proxy.implementation") - 1 (ERC-1967)
bytes32 constant IMPLEMENTATION_SLOT =
    0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc;

/// Stands at the address that everybody knows; the code is another contract's.
contract ERC1967Proxy {
    /// `data` is called on the implementation, in the proxy's storage: its initializer.
    constructor(address implementation, bytes memory data) payable {
        assembly {
            sstore(IMPLEMENTATION_SLOT, implementation)
        }
        (bool success, bytes memory returned) = implementation.delegatecall(data);
        if (!success) {
            assembly {
                revert(add(returned, 32), mload(returned))
            }
        }
    }

    fallback() external payable {
        assembly {
            let implementation := sload(IMPLEMENTATION_SLOT)
            calldatacopy(0, 0, calldatasize())
            let success := delegatecall(gas(), implementation, 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            switch success
            case 0 { revert(0, returndatasize()) }
            default { return(0, returndatasize()) }
        }
    }
}

/// What an implementation behind the proxy shares: it is set up once, and its owner replaces it.
abstract contract Upgradeable {
    error InvalidInitialization();

    event Upgraded(address indexed implementation);

    address public owner;
    bool private initialized;

    modifier initializer() {
        if (initialized) revert InvalidInitialization();
        initialized = true;
        _;
    }

    modifier onlyOwner() {
        checkOwner();
        _;
    }

    /// Refuse anybody else, in the words of the deployed contract.
    function checkOwner() internal view virtual;

    function upgradeToAndCall(address implementation, bytes calldata data)
        external
        payable
        onlyOwner
    {
        assembly {
            sstore(IMPLEMENTATION_SLOT, implementation)
        }
        emit Upgraded(implementation);
        if (data.length > 0) {
            (bool success,) = implementation.delegatecall(data);
            require(success);
        }
    }
}

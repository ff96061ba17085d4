// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// Stands at the address of zkSync's diamond; each function's code is a facet's (EIP-2535).
contract DiamondProxy {
    struct Facet {
        address facetAddress;
        bool isFreezable;
    }

    struct Storage {
        mapping(bytes4 => Facet) facets;
        bool isFrozen;
    }

    bytes32 private constant STORAGE = keccak256("mmbot.devnet.diamond.storage");

    /// Both facets' functions are found at one contract here.
    constructor(address facet, bytes4[] memory selectors, bytes memory data) {
        for (uint256 i = 0; i < selectors.length; i++) {
            diamond().facets[selectors[i]] = Facet(facet, true);
        }
        (bool success,) = facet.delegatecall(data);
        require(success, "I");
    }

    fallback() external payable {
        Facet memory facet = diamond().facets[msg.sig];
        require(facet.facetAddress != address(0), "F");
        require(!diamond().isFrozen || !facet.isFreezable, "q1");
        address code = facet.facetAddress;
        assembly {
            let start := mload(0x40)
            calldatacopy(start, 0, calldatasize())
            let success := delegatecall(gas(), code, start, calldatasize(), 0, 0)
            returndatacopy(start, 0, returndatasize())
            switch success
            case 0 { revert(start, returndatasize()) }
            default { return(start, returndatasize()) }
        }
    }

    function diamond() private pure returns (Storage storage found) {
        bytes32 slot = STORAGE;
        assembly {
            found.slot := slot
        }
    }
}

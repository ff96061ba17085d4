// Compiles contracts/*.sol to artifacts/<Contract>.json, and the product's own contracts to JSON
// beside their sources (`npm run compile`, or with `-- --out DIR`, which gets all).
//
// Each file is compiled by itself, so that a new contract never changes another's bytecode,
// and without a metadata hash, so that the same source gives the same bytes anywhere.

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import solc from "solc";

const here = import.meta.dirname ?? new URL(".", import.meta.url).pathname;
const contracts = join(here, "contracts");
const ours = join(here, "..", "adapters", "evm", "solidity");

const settings = {
  optimizer: { enabled: true, runs: 200 },
  evmVersion: "cancun",
  metadata: { bytecodeHash: "none", appendCBOR: false },
};

function compile(folder, file) {
  const outputs = ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"];
  const input = {
    language: "Solidity",
    sources: { [file]: { content: readFileSync(join(folder, file), "utf8") } },
    settings: { ...settings, outputSelection: { "*": { "*": outputs } } },
  };
  const read = (path) => ({ contents: readFileSync(join(folder, basename(path)), "utf8") });
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: read }));
  const complaints = output.errors ?? [];
  if (complaints.length > 0) {
    throw new Error(complaints.map((c) => c.formattedMessage).join("\n"));
  }
  return Object.entries(output.contracts[file]);
}

// more: what an artifact has beside what every one has
function writeArtifacts(folder, out, more = () => ({})) {
  mkdirSync(out, { recursive: true });
  for (const file of readdirSync(folder).filter((name) => name.endsWith(".sol")).sort()) {
    for (const [name, { abi, evm }] of compile(folder, file)) {
      if (evm.bytecode.object === "") continue; // an interface
      const artifact = {
        contract: name,
        source: `${basename(folder)}/${file}`,
        compiler: { version: solc.version(), settings },
        abi,
        bytecode: `0x${evm.bytecode.object}`,
        ...more(evm),
      };
      writeFileSync(join(out, `${name}.json`), `${JSON.stringify(artifact, null, 2)}\n`);
    }
  }
}

const { values } = parseArgs({ options: { out: { type: "string" } } });
writeArtifacts(contracts, values.out ?? join(here, "artifacts"));
// What stands on a chain is compared with these bytes.
writeArtifacts(ours, values.out ?? ours, (evm) => ({
  runtime: `0x${evm.deployedBytecode.object}`,
}));

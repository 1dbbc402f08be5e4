// Mocha joins the files of a command line with those of its configuration: whoever names some would get all.
const named = process.argv.slice(2).some((word) => word.endsWith(".test.js"));

module.exports = {
  spec: named ? [] : ["build/test/*.test.js"],
  // A hung test ends all the same; nothing that a slow machine needs is near it.
  timeout: 3600000,
  forbidOnly: true,
  forbidPending: true,
  failZero: true,
  parallel: true,
  jobs: 2,
  require: ["build/test/support.js"],
};

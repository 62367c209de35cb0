import { defineConfig } from "vite";

// Names without hashes: the door asks "is it still the same?" by ETag, and the build is committed.
export default defineConfig({
  base: "/console/",
  build: {
    outDir: "../app/console",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    cssCodeSplit: false,
    assetsInlineLimit: 0,
    rollupOptions: {
      output: { entryFileNames: "console.js", assetFileNames: "console[extname]", codeSplitting: false },
    },
  },
});
